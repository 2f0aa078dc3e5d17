#ifndef MELLOW_TESTS_TESTING_STDERR_TO_FILE_H_
#define MELLOW_TESTS_TESTING_STDERR_TO_FILE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/testing/temp_folder.h"

namespace mellow::testing {

// Standard error goes to a file for as long as this lives, and Text() is all that was written so
// far. GoogleTest's CaptureStderr ends where it is read: what another thread writes between two
// captures goes to the terminal and is never seen, so it cannot wait for a line of a log.
class StderrToFile {
 public:
  StderrToFile() {
    std::fflush(stderr);
    terminal_ = dup(STDERR_FILENO);
    const int file = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (terminal_ < 0 || file < 0 || dup2(file, STDERR_FILENO) < 0)
      ADD_FAILURE() << "standard error cannot go to " << path_;
    if (file >= 0) close(file);
  }
  ~StderrToFile() {
    std::fflush(stderr);
    if (terminal_ < 0) return;
    dup2(terminal_, STDERR_FILENO);
    close(terminal_);
  }
  StderrToFile(const StderrToFile&) = delete;
  StderrToFile& operator=(const StderrToFile&) = delete;

  std::string Text() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  const TempFolder folder_;
  const std::string path_ = folder_ / "stderr";
  int terminal_ = -1;
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_STDERR_TO_FILE_H_
