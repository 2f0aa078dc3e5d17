#ifndef MELLOW_TESTS_TESTING_TEMP_FOLDER_H_
#define MELLOW_TESTS_TESTING_TEMP_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace mellow::testing {

// A fresh folder that is removed with everything in it.
class TempFolder {
 public:
  TempFolder() : path_(::testing::TempDir() + "mellow.XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder at " << path_;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_TEMP_FOLDER_H_
