#ifndef MELLOW_TESTS_TESTING_FILE_SIZE_LIMIT_H_
#define MELLOW_TESTS_TESTING_FILE_SIZE_LIMIT_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

namespace mellow::testing {

// Files of this process cannot grow beyond `bytes` while this lives: writing answers EFBIG, as a
// full disk answers ENOSPC.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit_), 0);
    const rlimit limit = {bytes, old_limit_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &old_limit_), 0);
    signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_limit_ = {};
  sighandler_t old_handler_;
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_FILE_SIZE_LIMIT_H_
