#ifndef MELLOW_SERVICES_LEARNER_BASE_OWNER_EPOCH_H_
#define MELLOW_SERVICES_LEARNER_BASE_OWNER_EPOCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/sync/mutex.h"

namespace mellow::learner {

// Which orchestrator this learner follows: the last that came. Each gets a number, larger than all
// before it, that is kept in the checkpoint folder; calls with a smaller one are of an orchestrator
// that was replaced. So of two that are there at once the older one is refused, and they never take
// turns. Thread-safe.
class OwnerEpoch {
 public:
  explicit OwnerEpoch(std::string folder) : path_(std::move(folder) + "/.epoch") {}

  // The number of the caller, who shows what it got before (0: nothing, it is the owner from now
  // on). FailedPrecondition: see Check. InvalidArgument: a number that no learner has given.
  // Errors of the disk.
  [[nodiscard]] absl::StatusOr<int64_t> Claim(int64_t shown, const std::string& owner);
  // FailedPrecondition, naming the owner: `shown` is of an earlier one. 0 is not compared.
  [[nodiscard]] absl::Status Check(int64_t shown);

 private:
  [[nodiscard]] absl::Status CheckLocked(int64_t shown) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Mutex mutex_;
  bool loaded_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string owner_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_OWNER_EPOCH_H_
