#ifndef MELLOW_COMMON_RL_KL_CONTROLLER_H_
#define MELLOW_COMMON_RL_KL_CONTROLLER_H_

#include <cstdint>

#include "common/rl/ppo_config.h"

namespace mellow::rl {

// The coefficient of the KL penalty. Adaptive (Ziegler et al. 2019): after each step
//   beta *= 1 + clip(kl / target - 1, -0.2, 0.2) * samples / horizon;
// or fixed at init_kl_coef. A plain value: checkpoints store `value`.
class KlController {
 public:
  explicit KlController(const PpoConfig& config)
      : adaptive_(config.adap_kl_ctrl),
        target_(config.target),
        horizon_(config.horizon),
        value_(config.init_kl_coef) {}

  [[nodiscard]] double value() const { return value_; }
  void set_value(double value) { value_ = value; }
  // kl: the step's objective/kl, nats per sequence; samples: rollouts in the step. A kl that is not
  // finite changes nothing.
  void Update(double kl, int64_t samples);

 private:
  bool adaptive_;
  double target_;
  double horizon_;
  double value_;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_KL_CONTROLLER_H_
