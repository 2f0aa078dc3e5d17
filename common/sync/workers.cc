#include "common/sync/workers.h"

#include <utility>

namespace mellow {

// Delegates, so that the destructor lets the started threads end where a further one cannot be
// started.
Workers::Workers(int threads) : Workers() {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

Workers::~Workers() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  added_.NotifyAll();
}

void Workers::Add(Urgency urgency, std::function<void()> task) {
  {
    MutexLock lock(&mutex_);
    tasks_[static_cast<int>(urgency)].push_back(std::move(task));
  }
  added_.NotifyOne();
}

void Workers::Loop() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(&mutex_);
      while (!stop_ && tasks_[0].empty() && tasks_[1].empty()) added_.Wait(&mutex_);
      auto& tasks = tasks_[0].empty() ? tasks_[1] : tasks_[0];
      if (tasks.empty()) return;
      task = std::move(tasks.front());
      tasks.pop_front();
    }
    task();
  }
}

}  // namespace mellow
