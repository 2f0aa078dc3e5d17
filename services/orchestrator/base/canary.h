#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_CANARY_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_CANARY_H_

// The canary: after every publication each policy node scores fixed token pairs, and its log-probs
// must be the learner's. "The generator silently kept the old weights" cannot pass it.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// Largest |node - learner| per token. Both compute in fp32 and differ only by the order of their
// sums: about 1e-5 in practice.
inline constexpr double kDefaultCanaryBound = 1e-3;
// The same between two precisions of the same weights: of single, unlikely tokens. Other weights
// differ by tens.
inline constexpr double kOtherPrecisionBound = 3;

struct CanarySuite {
  std::vector<TokenPair> pairs;
  std::vector<std::vector<float>> expected;  // the learner's log-probs, one per target token
  double bound = kDefaultCanaryBound;
};

// A small step moves log-probs by less than 1e-3, and old weights would pass. So the bound is half
// of how far the step moved these very pairs (`before`: log-probs of the weights that sampled
// them), but not under `bound` / 10, where rounding begins. `before` longer than `after` is
// compared over the common part.
[[nodiscard]] double CanaryBound(absl::Span<const std::vector<float>> before,
                                 absl::Span<const std::vector<float>> after, double bound);

// Where there is no step whose data could be taken: polite, rude, and in between. What reward nodes
// score before they may work, and what adapters that came as bytes are tried with.
[[nodiscard]] const std::vector<std::string>& CanaryTexts();

// A few short pairs of the step's own data: its first rollouts, targets cut to a few tokens.
[[nodiscard]] std::vector<TokenPair> CanaryPairs(absl::Span<const Rollout> rollouts);

// Before there are rollouts: each prompt is scored as its own continuation.
[[nodiscard]] std::vector<TokenPair> CanaryPairs(absl::Span<const Prompt> prompts);

struct LogProbGap {
  double largest = 0;  // |a - b|, infinite for NaN
  size_t pair = 0;     // where
  size_t token = 0;
};

// FailedPrecondition: other numbers of pairs or tokens (in words).
[[nodiscard]] absl::StatusOr<LogProbGap> CompareLogProbs(
    absl::Span<const std::vector<float>> got, absl::Span<const std::vector<float>> expected);

// OK, or FailedPrecondition with the figures: "canary: log-prob differs by 0.31 (bound 0.001) at
// pair 0, token 3".
[[nodiscard]] absl::Status CheckCanary(const CanarySuite& suite,
                                       absl::Span<const std::vector<float>> got);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_CANARY_H_
