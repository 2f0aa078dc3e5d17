#include "common/nn/kernels/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mellow {
namespace {

constexpr int kBits = 20;
constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;
constexpr auto kSpin = std::chrono::microseconds(50);

uint64_t Generation(uint64_t job) { return job >> (2 * kBits); }

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// Delegates, so that the destructor lets the started threads end where a further one cannot be
// started.
ThreadPool::ThreadPool(int threads) : ThreadPool() {
  for (int i = 1; i < std::max(threads, 1); ++i) workers_.emplace_back([this] { WorkerLoop(); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&sleep_mutex_);
    stop_.store(true);
    job_.store((Generation(job_.load()) + 1) << (2 * kBits));
  }
  wake_.NotifyAll();
}

void ThreadPool::Drain() {
  while (true) {
    const uint64_t job = job_.fetch_add(1, std::memory_order_acq_rel);
    const uint64_t index = job & kMask;
    if (index >= ((job >> kBits) & kMask)) return;
    try {
      (*task_)(static_cast<int>(index));
    } catch (...) {  // the others still use the task, so Run may not leave yet
      MutexLock lock(&error_mutex_);
      error_ = std::current_exception();
    }
    done_.fetch_add(1, std::memory_order_release);
  }
}

void ThreadPool::Run(int count, const std::function<void(int)>& task) {
  MutexLock lock(&run_mutex_);
  if (workers_.empty() || count <= 1) {
    for (int i = 0; i < count; ++i) task(i);
    return;
  }
  task_ = &task;
  done_.store(0, std::memory_order_relaxed);
  {
    MutexLock sleep_lock(&sleep_mutex_);
    const uint64_t generation = Generation(job_.load(std::memory_order_relaxed)) + 1;
    job_.store((generation << (2 * kBits)) | (static_cast<uint64_t>(count) << kBits),
               std::memory_order_release);
  }
  wake_.NotifyAll();
  Drain();
  for (int spins = 0; done_.load(std::memory_order_acquire) != count; ++spins) {
    Pause();
    if (spins > 1000) std::this_thread::yield();  // the task's thread may need this core
  }
  MutexLock error_lock(&error_mutex_);
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::WorkerLoop() {
  uint64_t seen = 0;
  while (true) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    while (Generation(job_.load(std::memory_order_acquire)) == seen) {
      Pause();
      if (std::chrono::steady_clock::now() < until) continue;
      MutexLock lock(&sleep_mutex_);
      while (Generation(job_.load(std::memory_order_acquire)) == seen) wake_.Wait(&sleep_mutex_);
    }
    // In this order: a worker that sees the destructor's last generation sees its stop_ too, and
    // would wait for another one forever.
    seen = Generation(job_.load(std::memory_order_acquire));
    if (stop_.load()) return;
    Drain();
  }
}

}  // namespace mellow
