#include "check.h"

int main() {
  for (const Test& test : Tests()) {
    std::printf("%s ... ", test.name);
    std::fflush(stdout);
    test.run();
    std::puts("ok");
  }
  std::printf("%zu tests passed\n", Tests().size());
}
