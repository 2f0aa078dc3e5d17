#ifndef MELLOW_SERVICES_POLICY_SEQUENCE_FEED_H_
#define MELLOW_SERVICES_POLICY_SEQUENCE_FEED_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "common/nn/generation/sequence_decoder.h"
#include "common/sync/mutex.h"

namespace mellow::policy {

// Between the engine's thread, which leaves the newest state of a sequence here, and a stream,
// which sends what is new since it last looked. Thread-safe.
class SequenceFeed {
 public:
  enum class State { kNothingNew, kMore, kEnded };

  void Update(const nn::GeneratedSequence& so_far) {
    MutexLock lock(&mutex_);
    sequence_ = so_far;
  }
  void End(absl::StatusOr<nn::GeneratedSequence> sequence) {
    MutexLock lock(&mutex_);
    ended_ = true;
    sequence_ = std::move(sequence);
  }

  // The sequence, unless it has no more ids than `seen` and goes on; or the error that ended it.
  [[nodiscard]] std::pair<State, absl::StatusOr<nn::GeneratedSequence>> Look(size_t seen) const {
    MutexLock lock(&mutex_);
    if (ended_) return {State::kEnded, sequence_};
    if (sequence_->ids.size() <= seen) return {State::kNothingNew, nn::GeneratedSequence()};
    return {State::kMore, sequence_};
  }

 private:
  mutable Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::StatusOr<nn::GeneratedSequence> sequence_ ABSL_GUARDED_BY(mutex_) = nn::GeneratedSequence();
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_SEQUENCE_FEED_H_
