// The little that these tests need of a framework.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <vector>

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}

struct Registration {
  Registration(const char* name, void (*run)()) { Tests().push_back({name, run}); }
};

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)
#define TEST(name)                                                                      \
  static void JOIN(test_, __LINE__)();                                                  \
  static const Registration JOIN(registration_, __LINE__)(name, JOIN(test_, __LINE__)); \
  static void JOIN(test_, __LINE__)()

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)
