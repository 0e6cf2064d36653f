#include "batch_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  CheckBatch(data, size);
  return 0;
}
