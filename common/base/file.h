#ifndef MELLOW_COMMON_BASE_FILE_H_
#define MELLOW_COMMON_BASE_FILE_H_

// Whole files. Every error names the path.
//   NotFound: no such file.  PermissionDenied.  InvalidArgument: a folder, or a pointer of Git LFS
//   where ReadFile and MappedFile expect the file.  ResourceExhausted: disk full, no more open
//   files, no memory. Unknown/Internal: any other errno, in words.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow {

[[nodiscard]] absl::StatusOr<std::string> ReadFile(const std::string& path);

// Writes beside `path`, fsyncs, renames over it, fsyncs the folder: readers see the old or the new
// file, never a part; on an error the old file stays and nothing is left behind.
[[nodiscard]] absl::Status WriteFileAtomic(const std::string& path, absl::string_view data);

// Writes and fsyncs; for files inside a folder that is renamed as a whole afterwards
// (AtomicFolder).
[[nodiscard]] absl::Status WriteFileSynced(const std::string& path, absl::string_view data);

// Cuts the file (made when it is absent) at `offset`, writes `data` there, and fsyncs the file and,
// when it was made, its folder.
[[nodiscard]] absl::Status WriteFileAt(const std::string& path, int64_t offset,
                                       absl::string_view data);

// Writes everything to an open file and fsyncs it; `path` is for errors.
[[nodiscard]] absl::Status WriteSynced(int fd, const std::string& path, absl::string_view data);

// fsyncs a folder: the names in it survive a crash of the machine.
[[nodiscard]] absl::Status SyncFolder(const std::string& folder);

// Makes the folder and those above it that are absent, and fsyncs the folders that got a name.
[[nodiscard]] absl::Status MakeFolders(const std::string& path);

// Builds a folder beside its final place and renames it there: `path` is either absent (or the old
// one) or complete. Not thread-safe. Destroying it without Commit removes what was written.
//
// Where the file system cannot exchange two names in one call (NFS), the old folder is first moved
// aside: for a moment `path` is absent, and a process that ends in it leaves the old folder beside
// it, which Create and RestoreReplaced put back.
class AtomicFolder {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<AtomicFolder>> Create(std::string path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  // Where to write before Commit.
  const std::string& staging() const { return staging_; }
  // Puts back what a Commit of `path` that was interrupted had moved aside.
  [[nodiscard]] static absl::Status RestoreReplaced(const std::string& path);

  // Replaces `path` by what was staged, after every file and folder in it was fsynced.
  [[nodiscard]] absl::Status Commit();

 private:
  AtomicFolder(std::string path, std::string staging)
      : path_(std::move(path)), staging_(std::move(staging)) {}
  std::string path_;
  std::string staging_;
  bool committed_ = false;
};

// A file mapped read-only; unmapped when the last owner of the pointer is gone.
class MappedFile {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(
      const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::Span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  const uint8_t* data_;
  size_t size_;
};

// absl::Status for the current errno: "path: what went wrong".
[[nodiscard]] absl::Status ErrnoStatus(int error, absl::string_view what);

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_FILE_H_
