#ifndef MELLOW_SERVICES_REWARD_BOUNDED_QUEUE_H_
#define MELLOW_SERVICES_REWARD_BOUNDED_QUEUE_H_

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/sync/mutex.h"

namespace mellow::reward {

// Bounded queue that forms batches. Thread-safe. After Close, queued items can still be popped.
//   TryPushAll: all items or none; ResourceExhausted if the lane has no room for them, Unavailable
//   if
//               closed; never blocks. On an error *items is unchanged.
//   Reserve:    the same for items that are still being made; TryPushAll with `reserved` true then
//               has room for as many, or Release gives it back.
//   PopBatch:   waits for one item, then at most `linger` for more; takes turns with the lanes, so
//               that none waits for another to be empty. Empty result iff closed and drained.
//               Needs no memory, so that nothing is lost on the way out.
template <typename T>
class BoundedQueue {
 public:
  // `capacity` of each lane.
  explicit BoundedQueue(size_t capacity, size_t lanes = 1) : capacity_(capacity), lanes_(lanes) {}

  [[nodiscard]] absl::Status TryPushAll(std::vector<T>* items, size_t lane = 0,
                                        bool reserved = false) {
    std::list<T> added(items->size());  // what may throw, does before anything is taken
    {
      MutexLock lock(&mutex_);
      if (reserved) lanes_[lane].reserved -= items->size();
      if (absl::Status status = CheckRoom(lanes_[lane], items->size()); !status.ok()) {
        if (reserved) lanes_[lane].reserved += items->size();
        return status;
      }
      std::move(items->begin(), items->end(), added.begin());
      lanes_[lane].items.splice(lanes_[lane].items.end(), added);
      size_ += items->size();
    }
    items->clear();
    not_empty_.NotifyAll();
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Reserve(size_t count, size_t lane) {
    MutexLock lock(&mutex_);
    if (absl::Status status = CheckRoom(lanes_[lane], count); !status.ok()) return status;
    lanes_[lane].reserved += count;
    return absl::OkStatus();
  }
  void Release(size_t count, size_t lane) {
    MutexLock lock(&mutex_);
    lanes_[lane].reserved -= count;
  }

  [[nodiscard]] std::list<T> PopBatch(size_t max_items, absl::Duration linger) {
    MutexLock lock(&mutex_);
    while (size_ == 0 && !closed_) not_empty_.Wait(&mutex_);
    const SteadyTime until = SteadyTime::Now() + linger;
    while (size_ < max_items && !closed_ && size_ > 0 && not_empty_.WaitUntil(&mutex_, until)) {
    }
    std::list<T> batch;
    while (size_ > 0 && batch.size() < max_items) {
      std::list<T>& items = lanes_[next_lane_++ % lanes_.size()].items;
      if (items.empty()) continue;
      batch.splice(batch.end(), items, items.begin());
      --size_;
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
    return size_;
  }
  [[nodiscard]] size_t lane_size(size_t lane) const {
    MutexLock lock(&mutex_);
    return lanes_[lane].items.size();
  }

 private:
  struct Lane {
    std::list<T> items;
    size_t reserved = 0;
  };

  absl::Status CheckRoom(const Lane& lane, size_t count) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (closed_) return absl::UnavailableError("this node is shutting down");
    const size_t taken = lane.items.size() + lane.reserved;
    if (taken + count <= capacity_) return absl::OkStatus();
    if (count > capacity_) {
      return absl::InvalidArgumentError(
          absl::StrCat(count, " at once: this node's queue holds ", capacity_));
    }
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full (", taken, " of ",
                                                     capacity_, " wait, ", count, " more came)"));
  }

  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar not_empty_;
  std::vector<Lane> lanes_ ABSL_GUARDED_BY(mutex_);
  size_t next_lane_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;  // of all lanes
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_BOUNDED_QUEUE_H_
