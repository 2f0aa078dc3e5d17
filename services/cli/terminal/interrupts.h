#ifndef MELLOW_SERVICES_CLI_TERMINAL_INTERRUPTS_H_
#define MELLOW_SERVICES_CLI_TERMINAL_INTERRUPTS_H_

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "common/sync/mutex.h"

namespace mellow::cli {

// Ctrl-C (and SIGTERM) as a question to ask instead of a sudden end. While one of these lives, the
// first signal calls `on_first` from a thread of its own; a second one ends the process with code
// 130. Make it before any other thread starts.
class Interrupts {
 public:
  explicit Interrupts(std::function<void()> on_first);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  [[nodiscard]] bool interrupted();
  // Returns early, true, when interrupted.
  bool WaitFor(absl::Duration time);

 private:
  void Loop(const std::stop_token& stop);

  std::function<void()> on_first_;
  Mutex mutex_;
  CondVar changed_;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: joined first
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_INTERRUPTS_H_
