#ifndef MELLOW_TESTS_SERVICES_ORCHESTRATOR_KILL_SWITCH_H_
#define MELLOW_TESTS_SERVICES_ORCHESTRATOR_KILL_SWITCH_H_

#include <atomic>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mellow::orchestrator {

// SIGKILL for a process under test: every call that it makes to the outside (ledger, nodes) goes
// through here, is counted, and at the chosen one the process dies, before the call has an effect
// or right after it. From then on no call has an effect.
class KillSwitch {
 public:
  void Arm(int at, bool after_effect, std::function<void()> on_death) {
    after_effect_ = after_effect;
    on_death_ = std::move(on_death);
    at_ = at;  // last: threads that are calling look at the others only when it is reached
  }
  int calls() const { return calls_; }
  bool dead() const { return dead_; }

  template <typename Call>
  auto Through(const Call& call) -> decltype(call()) {
    if (dead_) return Dead();
    const int number = ++calls_;
    if (number == at_ && !after_effect_) return Die();
    auto result = call();
    if (number == at_) return Die();
    if (dead_) return Dead();
    return result;
  }

 private:
  static absl::Status Dead() { return absl::InternalError("the process is dead"); }
  absl::Status Die() {
    dead_ = true;
    on_death_();
    return Dead();
  }

  std::atomic<int> at_{-1};
  bool after_effect_ = false;
  std::function<void()> on_death_;
  std::atomic<int> calls_{0};
  std::atomic<bool> dead_{false};
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_TESTS_SERVICES_ORCHESTRATOR_KILL_SWITCH_H_
