#include "common/base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace mellow {

std::string NameOfThisProcess() {
  char host[256] = "";
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  return absl::StrCat("process ", getpid(), " on ", host[0] == '\0' ? "an unnamed host" : host);
}

absl::StatusOr<std::unique_ptr<FolderLock>> FolderLock::Acquire(const std::string& folder) {
  MELLOW_RETURN_IF_ERROR(MakeFolders(folder));
  const std::string path = folder + "/.owner";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, path);
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, path);
    std::string owner = ReadFile(path).value_or("");
    if (owner.empty()) owner = "another process";
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": is in use by ", owner, "; stop it, or give another folder"));
  }
  if (ftruncate(fd, 0) != 0) return ErrnoStatus(errno, path);
  MELLOW_RETURN_IF_ERROR(WriteSynced(fd, path, NameOfThisProcess()));
  std::move(closer).Cancel();
  return std::unique_ptr<FolderLock>(new FolderLock(fd));
}

FolderLock::~FolderLock() { close(fd_); }

}  // namespace mellow
