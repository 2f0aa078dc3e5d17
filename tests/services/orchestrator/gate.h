#ifndef MELLOW_TESTS_SERVICES_ORCHESTRATOR_GATE_H_
#define MELLOW_TESTS_SERVICES_ORCHESTRATOR_GATE_H_

#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"

namespace mellow::orchestrator {

// Holds whoever comes until it is opened, or until their call is given up.
class Gate {
 public:
  absl::Status Pass(std::stop_token stop) {
    const std::stop_callback on_stop(stop, [this] { changed_.NotifyAll(); });
    {
      MutexLock lock(&mutex_);
      ++waiting_;
    }
    changed_.NotifyAll();
    MutexLock lock(&mutex_);
    while (!open_) {
      if (stop.stop_requested()) return absl::CancelledError("given up");
      // The stop callback notifies without this mutex, so it may come between the test and the
      // wait.
      changed_.WaitFor(&mutex_, absl::Milliseconds(20));
    }
    return absl::OkStatus();
  }
  void Open() {
    {
      MutexLock lock(&mutex_);
      open_ = true;
    }
    changed_.NotifyAll();
  }
  void WaitForSomebody() {
    MutexLock lock(&mutex_);
    while (waiting_ == 0) changed_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_TESTS_SERVICES_ORCHESTRATOR_GATE_H_
