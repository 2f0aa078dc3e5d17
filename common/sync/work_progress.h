#ifndef MELLOW_COMMON_SYNC_WORK_PROGRESS_H_
#define MELLOW_COMMON_SYNC_WORK_PROGRESS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "common/base/steady_time.h"

namespace mellow {

// Whether a thread that works piece by piece still gets on. It calls the first three; Stalled may
// be called from any thread.
class WorkProgress {
 public:
  // Not stuck before this, whatever the past: the first pieces have none.
  static constexpr absl::Duration kPatience = absl::Seconds(30);
  // A piece may take this many times as long as the longest so far.
  static constexpr int kFactor = 8;

  // `patience`: in the place of kPatience, for work of longer pieces.
  explicit WorkProgress(absl::Duration patience = kPatience) : patience_(patience) {}

  // There is work.
  void Begin(SteadyTime now) { since_.store(Nanos(now)); }
  // A piece of it is done.
  void Advance(SteadyTime now) {
    const int64_t since = since_.exchange(Nanos(now));
    // A piece that was stuck teaches nothing about how long one takes.
    const absl::Duration taken = absl::Nanoseconds(Nanos(now) - since);
    if (since != kIdle && taken <= Patience())
      longest_.store(std::max(longest_.load(), absl::ToInt64Nanoseconds(taken)));
  }
  // There is none.
  void Idle() { since_.store(kIdle); }

  // How long the piece in hand takes already, when that is more than the past explains; else 0.
  [[nodiscard]] absl::Duration Stalled(SteadyTime now) const {
    const int64_t since = since_.load();
    if (since == kIdle) return absl::ZeroDuration();
    const absl::Duration taken = absl::Nanoseconds(Nanos(now) - since);
    return taken > Patience() ? taken : absl::ZeroDuration();
  }

 private:
  static constexpr int64_t kIdle = -1;
  absl::Duration Patience() const {
    return std::max(patience_, kFactor * absl::Nanoseconds(longest_.load()));
  }
  static int64_t Nanos(SteadyTime time) { return absl::ToInt64Nanoseconds(time - SteadyTime()); }

  const absl::Duration patience_;
  std::atomic<int64_t> since_{kIdle};  // nanoseconds of the steady clock
  std::atomic<int64_t> longest_{0};    // nanoseconds
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_WORK_PROGRESS_H_
