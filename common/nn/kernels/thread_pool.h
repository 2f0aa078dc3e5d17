#ifndef MELLOW_COMMON_NN_KERNELS_THREAD_POOL_H_
#define MELLOW_COMMON_NN_KERNELS_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/sync/mutex.h"

namespace mellow {

// Fork-join over a fixed set of threads, for the parts of one matrix product or for whole texts.
// The caller works too, so a pool of size 1 owns no thread. Workers spin for a few microseconds
// between jobs (a decode step is hundreds of short jobs) and sleep after that, so that an idle
// service costs nothing. Thread-safe: concurrent Run calls take turns. Not re-entrant: a task must
// not call Run of its own pool.
class ThreadPool {
 public:
  // Throws std::system_error where the system has no more threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(i) once for each i in [0, count), count < 2^19, spread over the threads, and returns
  // when all are done. Throws what a task threw, once none runs any more; not all have run then.
  void Run(int count, const std::function<void(int)>& task);

 private:
  ThreadPool() = default;  // without workers
  void WorkerLoop();
  // Runs tasks of the current job until none is left to claim.
  void Drain();

  Mutex run_mutex_;  // one job at a time
  const std::function<void(int)>* task_ = nullptr;
  // generation:24 | count:20 | next:20 of the current job in one word: a worker that wakes late
  // claims nothing of a job that is over, so Run need not wait for workers that the machine has no
  // core for, only for claimed tasks.
  std::atomic<uint64_t> job_{0};
  std::atomic<int> done_{0};
  Mutex error_mutex_;
  std::exception_ptr error_ ABSL_GUARDED_BY(error_mutex_);  // of the current job
  std::atomic<bool> stop_{false};
  Mutex sleep_mutex_;
  CondVar wake_;
  std::vector<std::jthread> workers_;  // last: joined first
};

}  // namespace mellow

#endif  // MELLOW_COMMON_NN_KERNELS_THREAD_POOL_H_
