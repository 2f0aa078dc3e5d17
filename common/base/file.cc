#include "common/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow {
namespace {

namespace fs = std::filesystem;

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// What git leaves in the place of a large file that it has not fetched.
absl::Status CheckFetched(const std::string& path, absl::string_view data) {
  if (!absl::StartsWith(data, "version https://git-lfs.github.com/spec/")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": a pointer of Git LFS, not the file itself; `git lfs pull` in its folder fetches it"));
}

// A name beside `path` that no other writer of this machine uses.
std::string Sibling(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  const fs::path target(path);
  return absl::StrCat(ParentOf(path), "/.", target.filename().string(), ".", getpid(), ".",
                      counter.fetch_add(1), ".tmp");
}

// Where the old folder is while the new one takes its name.
std::string Aside(const std::string& path) {
  return absl::StrCat(ParentOf(path), "/.", fs::path(path).filename().string(), ".replaced");
}

// fsyncs `folder` and everything in it, whoever wrote it.
absl::Status SyncTree(const std::string& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const int fd = open(it->path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, it->path().string());
    const int result = fsync(fd);
    const int code = errno;
    close(fd);
    if (result != 0) return ErrnoStatus(code, it->path().string());
  }
  if (error) return ErrnoStatus(error.value(), folder);
  return SyncFolder(folder);
}

// `path` exists and is another folder afterwards.
absl::Status Exchange(const std::string& staging, const std::string& path) {
  std::error_code ignored;
  // Two names change places in one call, so that there is no moment without the folder.
  if (renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(staging, ignored);
    return absl::OkStatus();
  }
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return ErrnoStatus(errno, path);
  const std::string aside = Aside(path);
  fs::remove_all(aside, ignored);
  if (rename(path.c_str(), aside.c_str()) != 0) return ErrnoStatus(errno, path);
  if (rename(staging.c_str(), path.c_str()) != 0) {
    const int error = errno;
    (void)rename(aside.c_str(), path.c_str());
    return ErrnoStatus(error, path);
  }
  MELLOW_RETURN_IF_ERROR(SyncFolder(ParentOf(path)));
  fs::remove_all(aside, ignored);
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error, absl::string_view what) {
  const std::string message = absl::StrCat(what, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case EISDIR:
      return absl::InvalidArgumentError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnknownError(message);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path);
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  std::string data;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path);
    if (n == 0) break;
    data.append(buffer, static_cast<size_t>(n));
  }
  MELLOW_RETURN_IF_ERROR(CheckFetched(path, data));
  return data;
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, folder);
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  return result == 0 ? absl::OkStatus() : ErrnoStatus(error, folder);
}

absl::Status WriteSynced(int fd, const std::string& path, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return fsync(fd) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path);
}

absl::Status WriteFileSynced(const std::string& path, absl::string_view data) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, path);
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  return WriteSynced(fd, path, data);
}

absl::Status WriteFileAt(const std::string& path, int64_t offset, absl::string_view data) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, path);
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  if (ftruncate(fd, offset) != 0 || lseek(fd, offset, SEEK_SET) < 0)
    return ErrnoStatus(errno, path);
  MELLOW_RETURN_IF_ERROR(WriteSynced(fd, path, data));
  return offset == 0 ? SyncFolder(ParentOf(path)) : absl::OkStatus();
}

absl::Status WriteFileAtomic(const std::string& path, absl::string_view data) {
  const std::string staging = Sibling(path);
  absl::Status status = WriteFileSynced(staging, data);
  if (status.ok() && rename(staging.c_str(), path.c_str()) != 0) status = ErrnoStatus(errno, path);
  if (!status.ok()) {
    unlink(staging.c_str());
    return status;
  }
  return SyncFolder(ParentOf(path));
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  // The name of a folder is in its parent. From the top down, so that what survives a power cut is
  // whole up to where it ends.
  std::vector<std::string> parents;
  for (fs::path at(path); !at.empty() && !fs::exists(at, error); at = at.parent_path()) {
    if (at.has_filename()) parents.push_back(ParentOf(at.string()));
  }
  fs::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), path);
  for (auto parent = parents.rbegin(); parent != parents.rend(); ++parent)
    MELLOW_RETURN_IF_ERROR(SyncFolder(*parent));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<AtomicFolder>> AtomicFolder::Create(std::string path) {
  MELLOW_RETURN_IF_ERROR(MakeFolders(ParentOf(path)));
  MELLOW_RETURN_IF_ERROR(RestoreReplaced(path));
  std::string staging = Sibling(path);
  std::error_code error;
  fs::create_directory(staging, error);  // nothing that has to survive before Commit
  if (error) return ErrnoStatus(error.value(), staging);
  return std::unique_ptr<AtomicFolder>(new AtomicFolder(std::move(path), std::move(staging)));
}

absl::Status AtomicFolder::RestoreReplaced(const std::string& path) {
  std::error_code ignored;
  const std::string aside = Aside(path);
  if (!fs::exists(aside, ignored)) return absl::OkStatus();
  if (fs::exists(path, ignored)) {
    fs::remove_all(aside, ignored);
    return absl::OkStatus();
  }
  if (rename(aside.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, path);
  return SyncFolder(ParentOf(path));
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(staging_, ignored);
}

absl::Status AtomicFolder::Commit() {
  MELLOW_RETURN_IF_ERROR(SyncTree(staging_));
  std::error_code ignored;
  if (fs::exists(path_, ignored)) {
    MELLOW_RETURN_IF_ERROR(Exchange(staging_, path_));
  } else if (rename(staging_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, path_);
  }
  committed_ = true;
  return SyncFolder(ParentOf(path_));
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path);
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  struct stat info = {};
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, path);
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(nullptr, 0));
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, path);
  std::shared_ptr<const MappedFile> file(new MappedFile(static_cast<const uint8_t*>(data), size));
  MELLOW_RETURN_IF_ERROR(CheckFetched(path, {static_cast<const char*>(data), size}));
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace mellow
