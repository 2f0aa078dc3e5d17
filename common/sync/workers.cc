#include "common/sync/workers.h"

#include <utility>

#include "absl/cleanup/cleanup.h"

namespace mellow {

Workers::Workers(int threads) {
  absl::Cleanup stop = [this] { Stop(); };  // where one cannot be started, the others are joined
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
  std::move(stop).Cancel();
}

Workers::~Workers() { Stop(); }

void Workers::Stop() {
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
