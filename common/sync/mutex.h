#ifndef MELLOW_COMMON_SYNC_MUTEX_H_
#define MELLOW_COMMON_SYNC_MUTEX_H_

// Mutex over std::mutex with clang's capability attributes: the clang preset checks GUARDED_BY at
// compile time, and ThreadSanitizer understands it (it reports false races in abseil's own mutex,
// which Debian builds uninstrumented).

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace mellow {

class ABSL_LOCKABLE Mutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* mutex_;
};

// Condition variable for Mutex. Wait in a loop that tests the condition. Notify after unlocking.
class CondVar {
 public:
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { cv_.wait(*mutex); }
  // False when `deadline` passed without a notification. The time that is left is measured by the
  // monotonic clock: when the wall clock is set back meanwhile, a wait of seconds takes no hours.
  bool WaitUntil(Mutex* mutex, absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const absl::Duration left = std::min(deadline - absl::Now(), kLongestWait);
    const std::cv_status status =
        cv_.wait_until(*mutex, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(left));
    return status == std::cv_status::no_timeout || left == kLongestWait;
  }
  bool WaitFor(Mutex* mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return WaitUntil(mutex, absl::Now() + timeout);
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  // Longer ones wake up in between, as any may.
  static constexpr absl::Duration kLongestWait = absl::Hours(24);

  std::condition_variable_any cv_;
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_MUTEX_H_
