#ifndef MELLOW_COMMON_SYNC_MAILBOX_H_
#define MELLOW_COMMON_SYNC_MAILBOX_H_

#include <functional>
#include <utility>
#include <vector>

#include "common/base/steady_time.h"
#include "common/sync/mutex.h"

namespace mellow {

// Closures from any thread, run by the one thread that owns the state they touch: so that state
// needs no lock.
class Mailbox {
 public:
  void Post(std::function<void()> closure) {
    {
      MutexLock lock(&mutex_);
      closures_.push_back(std::move(closure));
    }
    posted_.NotifyOne();
  }

  // Makes RunUntil return.
  void Wake() {
    Post([] {});
  }

  // Waits for closures, at most until `deadline`, and runs all that came.
  void RunUntil(SteadyTime deadline) {
    std::vector<std::function<void()>> closures;
    {
      MutexLock lock(&mutex_);
      while (closures_.empty() && posted_.WaitUntil(&mutex_, deadline)) {
      }
      closures.swap(closures_);
    }
    for (const std::function<void()>& closure : closures) closure();
  }

 private:
  Mutex mutex_;
  CondVar posted_;
  std::vector<std::function<void()>> closures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_MAILBOX_H_
