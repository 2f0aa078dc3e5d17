#include "tests/testing/source_tree.h"

namespace mellow {

std::string SourceTree(std::string_view path) {
  return std::string(MELLOW_SOURCE_DIR).append(path);
}

}  // namespace mellow
