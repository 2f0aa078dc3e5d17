#ifndef MELLOW_TESTS_TESTING_HELD_CALLS_H_
#define MELLOW_TESTS_TESTING_HELD_CALLS_H_

#include "common/sync/mutex.h"

namespace mellow::testing {

// A part whose calls a test can hold, to decide what happens meanwhile.
class HeldCalls {
 public:
  // The next call waits until Release.
  void Hold() {
    MutexLock lock(&mutex_);
    held_ = true;
  }
  void Release() {
    {
      MutexLock lock(&mutex_);
      held_ = false;
    }
    changed_.NotifyAll();
  }
  void WaitUntilHeld() {
    MutexLock lock(&mutex_);
    while (waiting_ == 0) changed_.Wait(&mutex_);
  }

 protected:
  // A call begins with it.
  void Pass() {
    MutexLock lock(&mutex_);
    ++waiting_;
    changed_.NotifyAll();
    while (held_) changed_.Wait(&mutex_);
    --waiting_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_HELD_CALLS_H_
