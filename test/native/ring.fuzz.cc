#include "ring_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A thread costs as much as many rounds without one.
  if (size > 4 && data[0] == 0xff) {
    CheckConcurrentRing(200 + data[1], data[2] | data[3] << 8);
  } else {
    CheckRing(data, size);
  }
  return 0;
}
