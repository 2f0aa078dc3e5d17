#ifndef MELLOW_TESTS_TESTING_SOURCE_TREE_H_
#define MELLOW_TESTS_TESTING_SOURCE_TREE_H_

#include <string>
#include <string_view>

namespace mellow {

/// A path in the source tree: SourceTree("/tests/parity/golden"). The tree's place is compiled into
/// one object only, so that every other test is the same in all checkouts and ccache shares it.
std::string SourceTree(std::string_view path);

}  // namespace mellow

#endif  // MELLOW_TESTS_TESTING_SOURCE_TREE_H_
