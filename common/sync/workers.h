#ifndef MELLOW_COMMON_SYNC_WORKERS_H_
#define MELLOW_COMMON_SYNC_WORKERS_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "common/sync/mutex.h"

namespace mellow {

// Threads for short tasks that a caller must not do itself, such as tokenizing outside an event
// loop. There is no bound: whoever adds tasks sees to one. Tasks must not throw: only whoever added
// one knows whose error it would be. Thread-safe.
class Workers {
 public:
  enum class Urgency {
    kAnswer,   // before everything else: it frees memory and somebody waits for it
    kRequest,  // in the order of adding
  };

  // Throws std::system_error where the system has no more threads.
  explicit Workers(int threads);
  // Runs what was added.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Throws std::bad_alloc, and then `task` is not run.
  void Add(Urgency urgency, std::function<void()> task);

 private:
  Workers() = default;  // without threads
  void Loop();

  Mutex mutex_;
  CondVar added_;
  std::deque<std::function<void()>> tasks_[2] ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: joined first
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_WORKERS_H_
