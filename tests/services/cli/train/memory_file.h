#ifndef MELLOW_TESTS_SERVICES_CLI_TRAIN_MEMORY_FILE_H_
#define MELLOW_TESTS_SERVICES_CLI_TRAIN_MEMORY_FILE_H_

#include <cstdio>
#include <cstdlib>
#include <string>

namespace mellow::cli {

// A FILE in memory.
class Output {
 public:
  Output() : file_(open_memstream(&data_, &size_)) {}
  ~Output() {
    std::fclose(file_);
    std::free(data_);
  }
  std::FILE* file() { return file_; }
  std::string text() {
    std::fflush(file_);
    return std::string(data_, size_);
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

}  // namespace mellow::cli

#endif  // MELLOW_TESTS_SERVICES_CLI_TRAIN_MEMORY_FILE_H_
