#include "services/cli/terminal/interrupts.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "common/base/steady_time.h"
#include "services/cli/terminal/command.h"

namespace mellow::cli {
namespace {

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

Interrupts::Interrupts(std::function<void()> on_first) : on_first_(std::move(on_first)) {
  const sigset_t set = Signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
}

Interrupts::~Interrupts() {
  thread_.request_stop();
  thread_.join();
  const sigset_t set = Signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool Interrupts::interrupted() {
  MutexLock lock(&mutex_);
  return interrupted_;
}

bool Interrupts::WaitFor(absl::Duration time) {
  const SteadyTime deadline = SteadyTime::Now() + time;
  MutexLock lock(&mutex_);
  while (!interrupted_ && SteadyTime::Now() < deadline) changed_.WaitUntil(&mutex_, deadline);
  return interrupted_;
}

void Interrupts::Loop(const std::stop_token& stop) {
  const sigset_t set = Signals();
  // Looks up now and then whether it is still wanted.
  const timespec pause = {.tv_sec = 0, .tv_nsec = 50'000'000};
  while (!stop.stop_requested()) {
    if (sigtimedwait(&set, nullptr, &pause) < 0) continue;
    {
      MutexLock lock(&mutex_);
      if (interrupted_) _exit(kInterruptedExitCode);
      interrupted_ = true;
    }
    changed_.NotifyAll();
    on_first_();
  }
}

}  // namespace mellow::cli
