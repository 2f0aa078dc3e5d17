#ifndef MELLOW_TESTS_TESTING_OUTSIDE_DATA_H_
#define MELLOW_TESTS_TESTING_OUTSIDE_DATA_H_

#include <string>
#include <string_view>

namespace mellow {

/// A path in the folder of data that we may not ship: OutsideData("/t5/spiece.model"). CONTRIBUTING
/// says what it is and where. It may be absent: then the test is skipped, and CTest says so when
/// mellow_test() knows it as OUTSIDE_DATA.
std::string OutsideData(std::string_view path);

}  // namespace mellow

#endif  // MELLOW_TESTS_TESTING_OUTSIDE_DATA_H_
