#ifndef MELLOW_COMMON_RL_RUNNING_MOMENTS_H_
#define MELLOW_COMMON_RL_RUNNING_MOMENTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/rl/ppo_config.h"

namespace mellow::rl {

// Mean and variance of all scores seen so far, merged batch by batch (Chan et al. 1979). A plain
// value: checkpoints store it.
struct RunningMoments {
  double mean = 0;
  double std = 1;
  double var = 1;  // biased
  double count = 1e-24;

  void Update(absl::Span<const float> batch);

  // Whether the scores differ by more than float can resolve at their size. Dividing by a smaller
  // deviation says nothing of the scores and makes numbers of the order of 1e7.
  [[nodiscard]] bool HasSpread() const;
};

// Scores as the rewards use them: scaled by the running deviation (the batch itself included), with
// use_score_norm also centered, then clamped to +-score_clip; each only when the configuration says
// so. Updates `moments` only when scaling is on. Without any spread so far every score is 0, so
// that no response is better than another; with trl_compat that is FailedPrecondition, because what
// TRL computes then means nothing.
[[nodiscard]] absl::StatusOr<std::vector<float>> ProcessScores(absl::Span<const float> scores,
                                                               const PpoConfig& config,
                                                               RunningMoments* moments);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_RUNNING_MOMENTS_H_
