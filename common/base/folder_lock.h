#ifndef MELLOW_COMMON_BASE_FOLDER_LOCK_H_
#define MELLOW_COMMON_BASE_FOLDER_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace mellow {

// One process at a time uses a folder: a file in it (.owner) is locked for as long as this object
// lives, and names the owner. The kernel drops the lock when the process ends, however it ends; the
// file stays and says nothing then.
class FolderLock {
 public:
  // Makes the folder when it is absent. FailedPrecondition: another process has it (named with its
  // host). Errors of the disk.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<FolderLock>> Acquire(
      const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  const int fd_;
};

// "process 123 on host-a": this process, as other processes are told of it.
[[nodiscard]] std::string NameOfThisProcess();

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_FOLDER_LOCK_H_
