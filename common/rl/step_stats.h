#ifndef MELLOW_COMMON_RL_STEP_STATS_H_
#define MELLOW_COMMON_RL_STEP_STATS_H_

// What a PPO step reports, under TRL's names.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/rl/losses.h"
#include "common/rl/rows.h"

namespace mellow::rl {

using Stats = std::map<std::string, double>;

// Describes the whole batch, before its updates. Pointers are not owned.
struct BatchNumbers {
  const MaskRows* mask = nullptr;
  const Rows* old_logprobs = nullptr;
  const Rows* reference_logprobs = nullptr;
  const Rows* penalties = nullptr;  // of the configured kind
  const Rows* non_score = nullptr;
  absl::Span<const float> scores;  // as used: scaled, clipped
  absl::Span<const int64_t> query_lengths;
  absl::Span<const int64_t> response_lengths;
  double kl_coef = 0;
};

// objective/kl is the mean over the rows of the summed penalty (for abs and mse no KL);
// objective/kl_k1 and kl_k3 always estimate KL(policy, reference).
void AddBatchStats(const BatchNumbers& batch, Stats* stats);

// Plain means over the mini-batches of all epochs, each with the same weight. Precondition: at
// least one.
void AddLossStats(absl::Span<const LossStats> mini_batches, Stats* stats);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_STEP_STATS_H_
