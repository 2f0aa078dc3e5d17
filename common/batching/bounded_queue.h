#ifndef MELLOW_COMMON_BATCHING_BOUNDED_QUEUE_H_
#define MELLOW_COMMON_BATCHING_BOUNDED_QUEUE_H_

#include <deque>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/sync/mutex.h"

namespace mellow::batching {

// Bounded queue that forms batches. Thread-safe. After Close, queued items can still be popped.
//   TryPushAll: all items or none; ResourceExhausted if they do not fit, Unavailable if closed;
//   never blocks. On an error *items is
//               unchanged.
//   PopBatch:   waits for one item, then at most `linger` for more; empty result iff closed and
//   drained.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] absl::Status TryPushAll(std::vector<T>* items) {
    {
      MutexLock lock(&mutex_);
      if (closed_) return absl::UnavailableError("this node is shutting down");
      if (items_.size() + items->size() > capacity_) {
        return absl::ResourceExhaustedError(absl::StrCat("the queue is full (", items_.size(),
                                                         " of ", capacity_, " wait, ",
                                                         items->size(), " more came)"));
      }
      for (T& item : *items) items_.push_back(std::move(item));
    }
    items->clear();
    not_empty_.NotifyAll();
    return absl::OkStatus();
  }

  [[nodiscard]] std::vector<T> PopBatch(size_t max_items, absl::Duration linger) {
    MutexLock lock(&mutex_);
    while (items_.empty() && !closed_) not_empty_.Wait(&mutex_);
    const SteadyTime until = SteadyTime::Now() + linger;
    while (items_.size() < max_items && !closed_ && !items_.empty() &&
           not_empty_.WaitUntil(&mutex_, until)) {
    }
    std::vector<T> batch;
    while (!items_.empty() && batch.size() < max_items) {
      batch.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    return batch;
  }

  void Close() {
    {
      MutexLock lock(&mutex_);
      closed_ = true;
    }
    not_empty_.NotifyAll();
  }

  [[nodiscard]] size_t size() const {
    MutexLock lock(&mutex_);
    return items_.size();
  }

 private:
  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar not_empty_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mellow::batching

#endif  // MELLOW_COMMON_BATCHING_BOUNDED_QUEUE_H_
