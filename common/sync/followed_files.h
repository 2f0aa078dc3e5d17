#ifndef MELLOW_COMMON_SYNC_FOLLOWED_FILES_H_
#define MELLOW_COMMON_SYNC_FOLLOWED_FILES_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/status.h"
#include "common/sync/file_watch.h"
#include "common/sync/mutex.h"

namespace mellow {

// What some files hold, read again when they change. Thread-safe.
template <typename T>
class FollowedFiles {
 public:
  // Reads and checks all of it; called from a thread of this object too.
  using Read = std::function<absl::StatusOr<T>()>;
  // After every further reading: OK, or why the value of before stays.
  using Report = std::function<void(const absl::Status&)>;
  using Follower = std::function<void(const T&)>;

  // Errors: those of the first reading. `period`: how often the files are looked at.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<FollowedFiles>> Start(
      std::vector<std::string> paths, absl::Duration period, Read read, Report report) {
    auto files =
        std::unique_ptr<FollowedFiles>(new FollowedFiles(std::move(read), std::move(report)));
    // Before the first reading: what changes in between is a change.
    files->watch_ = std::make_unique<FileWatch>(std::move(paths), period,
                                                [raw = files.get()] { raw->Reload(); });
    MutexLock lock(&files->publishing_);
    MELLOW_ASSIGN_OR_RETURN(T first, files->read_());
    files->Publish(std::move(first));
    return files;
  }

  [[nodiscard]] std::shared_ptr<const T> Current() const {
    MutexLock lock(&mutex_);
    return current_;
  }

  // `follower` is called now, and with every new value from the watching thread, in order; what it
  // uses must live as long as this object. It may not call Follow.
  void Follow(Follower follower) {
    MutexLock lock(&publishing_);
    follower(*Current());
    followers_.push_back(std::move(follower));
  }

 private:
  FollowedFiles(Read read, Report report) : read_(std::move(read)), report_(std::move(report)) {}

  void Reload() {
    MutexLock lock(&publishing_);
    absl::StatusOr<T> next = read_();
    report_(next.status());
    if (next.ok()) Publish(*std::move(next));
  }

  void Publish(T next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publishing_) {
    const auto shared = std::make_shared<const T>(std::move(next));
    {
      MutexLock lock(&mutex_);
      current_ = shared;
    }
    for (const Follower& follower : followers_) follower(*shared);
  }

  const Read read_;
  const Report report_;
  Mutex publishing_;  // before mutex_
  std::vector<Follower> followers_ ABSL_GUARDED_BY(publishing_);
  mutable Mutex mutex_;
  std::shared_ptr<const T> current_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<FileWatch> watch_;  // last: its thread uses the others
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_FOLLOWED_FILES_H_
