#ifndef MELLOW_COMMON_RL_ADVANTAGES_H_
#define MELLOW_COMMON_RL_ADVANTAGES_H_

// Generalized advantage estimation (Schulman et al. 2016) over token rewards.

#include <cstdint>

#include "common/rl/rows.h"

namespace mellow::rl {

struct AdvantageOptions {
  double gamma = 1.0;
  double lam = 0.95;
  // Divide the rewards by their standard deviation (their mean stays) before the recursion.
  bool whiten_rewards = false;
  // TRL 0.11.3 whitens masked positions too, which puts a constant reward into the padding; it
  // flows back into the last real tokens. Reproduced when set: rows then behave as if padded to
  // `padded_width` positions.
  bool whitened_padding = false;
  int64_t padded_width = 0;
};

struct Advantages {
  Rows values;      // the old values, 0 where not counted: what value clipping starts from
  Rows advantages;  // whitened over all counted positions of the batch
  Rows returns;     // unwhitened advantage + value
};

// delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lam A_{t+1}, with 0 after the end (a
// response cut by its length limit counts as ended). The recursion runs through positions that do
// not count, with reward and value 0.
[[nodiscard]] Advantages ComputeAdvantages(const Rows& values, const Rows& rewards,
                                           const MaskRows& mask, const AdvantageOptions& options);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_ADVANTAGES_H_
