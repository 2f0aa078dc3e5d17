#ifndef MELLOW_TESTS_TESTING_ADDRESS_SPACE_LIMIT_H_
#define MELLOW_TESTS_TESTING_ADDRESS_SPACE_LIMIT_H_

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace mellow::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(_GLIBCXX_TSAN)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// This process cannot map more than `bytes` beyond what it has while this lives: a thread too many
// cannot be started, for want of a stack. Not for builds with sanitizers, which map as they like.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(rlim_t bytes) {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    EXPECT_EQ(getrlimit(RLIMIT_AS, &old_limit_), 0);
    const rlimit limit = {pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + bytes,
                          old_limit_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~AddressSpaceLimit() { EXPECT_EQ(setrlimit(RLIMIT_AS, &old_limit_), 0); }
  AddressSpaceLimit(const AddressSpaceLimit&) = delete;
  AddressSpaceLimit& operator=(const AddressSpaceLimit&) = delete;

 private:
  rlimit old_limit_ = {};
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_ADDRESS_SPACE_LIMIT_H_
