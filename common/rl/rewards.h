#ifndef MELLOW_COMMON_RL_REWARDS_H_
#define MELLOW_COMMON_RL_REWARDS_H_

// From log-probs and one score per rollout to one reward per token.

#include <vector>

#include "absl/types/span.h"
#include "common/rl/ppo_config.h"
#include "common/rl/rows.h"

namespace mellow::rl {

// The penalty of one token, d = log pi(a) - log pi_ref(a):  kl: d (the k1 estimator, may be
// negative);  abs: |d|;  mse: d^2 / 2. `full` is no function of d (the exact sum over the
// vocabulary): precondition, another mode.
[[nodiscard]] float TokenPenalty(KlPenalty mode, float logprob, float reference_logprob);

// The same for all positions, counted or not.
[[nodiscard]] Rows TokenPenalties(KlPenalty mode, const Rows& logprobs, const Rows& reference);

// Schulman's k3 estimator of KL(pi, pi_ref), exp(-d) - 1 + d: never negative, unbiased, of small
// variance.
[[nodiscard]] float K3(float logprob, float reference_logprob);

// non_score[t] = -beta * penalty[t]; rewards = non_score, plus the row's score at its last counted
// position (the action that emits the last token). A row that counts nowhere gets no score.
struct TokenRewards {
  Rows rewards;
  Rows non_score;
};
[[nodiscard]] TokenRewards ComputeRewards(const Rows& penalties, absl::Span<const float> scores,
                                          double beta, const MaskRows& mask);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_REWARDS_H_
