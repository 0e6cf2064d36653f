#include "symbol_table_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  CheckSymbolTable(data, size);
  return 0;
}
