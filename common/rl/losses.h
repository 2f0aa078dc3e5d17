#ifndef MELLOW_COMMON_RL_LOSSES_H_
#define MELLOW_COMMON_RL_LOSSES_H_

// The clipped PPO losses of one mini-batch with their gradients in closed form, so that no autograd
// graph ever holds the vocabulary: the trainer multiplies d loss / d log p by (one-hot - softmax)
// itself.

#include "common/rl/rows.h"

namespace mellow::rl {

struct LossOptions {
  double cliprange = 0.2;
  double cliprange_value = 0.2;
  double vf_coef = 0.1;
};

// Precondition: all of the mask's shape. Pointers are not owned.
struct LossInput {
  const MaskRows* mask = nullptr;
  const Rows* old_logprobs = nullptr;
  const Rows* new_logprobs = nullptr;
  const Rows* old_values = nullptr;  // 0 where not counted
  const Rows* new_values = nullptr;
  const Rows* advantages = nullptr;
  const Rows* returns = nullptr;
  const Rows* entropies = nullptr;  // of the new policy, for the statistics only
  const Rows* importance_weights =
      nullptr;  // null: 1; multiplies the policy loss of each token (stale rollouts)
};

// Means over the mini-batch's counted positions, measured before its update; TRL's names.
struct LossStats {
  double policy_loss = 0;  // <max(-A ratio, -A clamp(ratio, 1 - eps, 1 + eps))>
  double value_loss = 0;   // <max((v - G)^2, (clip(v) - G)^2)> / 2, without vf_coef
  double total_loss = 0;   // policy + vf_coef * value
  double entropy = 0;
  double approx_kl = 0;  // <(new - old)^2> / 2
  double policy_kl = 0;  // <old - new>
  double policy_clip_fraction = 0;
  double advantages_mean = 0;
  double returns_mean = 0;
  double returns_var = 0;
  double value_prediction = 0;
  double value_error = 0;
  double value_clip_fraction = 0;
  double old_value_mean = 0;
  double old_value_var = 0;
  double ratio_mean = 0;
};

struct Losses {
  LossStats stats;
  // Gradients of N * total loss, N the counted positions: divide by N for the mean (or by the
  // tokens of several mini-batches when they accumulate). 0 where not counted.
  Rows d_logprobs;
  Rows d_values;
};

// Ties go as in torch: max gives each side half, clamp passes the gradient at its bounds.
[[nodiscard]] Losses ComputeLosses(const LossInput& input, const LossOptions& options);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_LOSSES_H_
