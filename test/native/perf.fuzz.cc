#include "backward_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  CheckBackwardRing(data, size);
  return 0;
}
