#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_GUARD_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_GUARD_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// The classifier that PPO does not train on.
struct JudgeConfig {
  std::string label;    // whose logit is its score; empty: that of the reward
  double share = 0.25;  // of each step's rollouts
};

enum class GuardAction { kStop, kContinue };

// What a run may look like, as means over the last `window` steps. A bound of 0 is off.
struct GuardConfig {
  double kl_max = 30;  // above the KL of step 1, nats per sequence
  // None: a quarter of the mean of the run's first window.
  std::optional<double> min_response_tokens;
  double max_repetition = 0.3;  // as RepeatedNgrams
  // Below the best window so far, in standard deviations of a step's scores in the first window.
  double score_drop = 1;
  // How much more the score rose since the first window than the judge's, each in standard
  // deviations as those of score_drop. Without a judge nothing. The default is four standard
  // deviations of what chance makes with 16 rollouts a step (deploy/runs/README.md).
  double judge_gap = 1.5;
  int window = 5;
  GuardAction action = GuardAction::kStop;
  double learning_rate_factor = 0.5;  // with each trip
  int max_trips = 3;                  // of kContinue: the next one stops the run
  std::optional<JudgeConfig> judge;

  // InvalidArgument naming every field that is wrong, with its value.
  [[nodiscard]] absl::Status Validate() const;
};

// The checks by the names of their fields, in their order.
inline constexpr const char* kGuardChecks[] = {"kl_max", "min_response_tokens", "max_repetition",
                                               "score_drop", "judge_gap"};

// The share of the 4-grams of a response that came before in it: 0 when it has none. seq-rep-4 of
// Welleck, Kulikov, Roller, Dinan, Cho and Weston, "Neural text generation with unlikelihood
// training", 2020.
[[nodiscard]] double RepeatedNgrams(absl::Span<const int32_t> ids);

// What the guard found.
struct GuardFinding {
  std::string check;  // of kGuardChecks, the first that failed
  double value = 0;
  double bound = 0;
  std::string reason;  // every check that failed with field, value, bound and steps, for people
  int good_step = 0;   // whose weights the run has to go back to; 0: those that it started from
};

// Watches the steps of a PPO run. It is a function of the steps that it was given, so that a
// process that comes back and gives it those of the ledger finds what the first one did. Not
// thread-safe.
//
// The good version is the newest one whose rollouts are in no window that failed: the numbers of a
// step are of the weights that sampled it.
class Guard {
 public:
  // `lag`: as many versions before the newest one sample a step.
  Guard(GuardConfig config, int lag) : config_(std::move(config)), lag_(lag) {}

  // The steps in order, each once. Nothing: all is well, or the window is not full yet. A number
  // that is not finite fails its check.
  [[nodiscard]] std::optional<GuardFinding> Observe(const StepRecord& step);
  // The run went back to the weights of `good_step` after what Observe found at the last step.
  void WentBack(int good_step);
  // As GuardConfig's, of the newest window; 0: there is none, or no judge.
  [[nodiscard]] double judge_gap() const { return judge_gap_; }

 private:
  struct Figures {
    double kl = 0;
    double response_tokens = 0;
    double repetition = 0;
    double score = 0;
    double score_sd = 0;
    double judge = 0;
    double judge_sd = 0;
  };
  [[nodiscard]] Figures WindowMean() const;
  [[nodiscard]] double GapOf(const Figures& mean) const;

  const GuardConfig config_;
  const int lag_;
  int last_step_ = 0;
  int since_ = 0;       // the step at which the run went back; 0: never
  int since_good_ = 0;  // the step whose weights these were
  std::optional<double> first_kl_;
  std::optional<Figures> baseline_;  // the first window
  std::deque<Figures> window_;
  std::vector<std::pair<int, double>> best_;  // the windows with ever greater scores, by last step
  double judge_gap_ = 0;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_GUARD_H_
