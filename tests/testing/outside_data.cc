#include "tests/testing/outside_data.h"

#include <cstdlib>

#include "tests/testing/source_tree.h"

namespace mellow {

std::string OutsideData(std::string_view path) {
  const char* folder = std::getenv("MELLOW_TEST_DATA");
  return (folder != nullptr ? std::string(folder) : SourceTree("/../shared/data")).append(path);
}

}  // namespace mellow
