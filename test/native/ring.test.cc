#include <random>
#include <vector>

#include "check.h"
#include "ring_property.h"

TEST("a ring read by libbpf: whatever is sent, in whatever order it is committed, arrives whole, once and in order") {
  std::mt19937 random(1);
  std::vector<uint8_t> input;
  for (int round = 0; round < 3000; ++round) {
    input.resize(random() % 200);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    CheckRing(input.data(), input.size());
  }
}

TEST("a producer on another thread: every record arrives whole, once and in order") {
  for (uint32_t seed = 1; seed <= 3; ++seed) CheckConcurrentRing(50'000, seed);
}
