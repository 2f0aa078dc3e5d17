#ifndef MELLOW_COMMON_SYNC_STOP_EVENT_H_
#define MELLOW_COMMON_SYNC_STOP_EVENT_H_

#include "common/base/steady_time.h"
#include "common/sync/mutex.h"

namespace mellow {

// Ends the pauses of a thread that looks at something now and then. Thread-safe.
class StopEvent {
 public:
  // Every wait returns, now and from now on.
  void Set() {
    {
      MutexLock lock(&mutex_);
      set_ = true;
    }
    changed_.NotifyAll();
  }
  // True as soon as it is set; false when `deadline` passed before.
  [[nodiscard]] bool WaitUntil(SteadyTime deadline) {
    MutexLock lock(&mutex_);
    while (!set_ && changed_.WaitUntil(&mutex_, deadline)) {
    }
    return set_;
  }
  [[nodiscard]] bool WaitFor(absl::Duration time) { return WaitUntil(SteadyTime::Now() + time); }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_STOP_EVENT_H_
