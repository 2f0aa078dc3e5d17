#ifndef MELLOW_COMMON_RL_PPO_CONFIG_H_
#define MELLOW_COMMON_RL_PPO_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/nn/lora_config.h"
#include "common/nn/weight_type.h"

namespace mellow::rl {

enum class KlPenalty { kKl, kAbs, kMse, kFull };
[[nodiscard]] absl::string_view KlPenaltyName(KlPenalty mode);  // "kl", "abs", "mse", "full"
[[nodiscard]] absl::StatusOr<KlPenalty> ParseKlPenalty(absl::string_view name);

// Whose log-probs the KL penalty compares with: the adapter that training started from, or the base
// model.
enum class Reference { kStart, kBase };
[[nodiscard]] absl::string_view ReferenceName(Reference reference);  // "start", "base"
[[nodiscard]] absl::StatusOr<Reference> ParseReference(absl::string_view name);

// Hyper-parameters of PPO. Names and defaults are those of TRL 0.11.3's PPOConfig; the behavior is
// not, unless trl_compat.
struct PpoConfig {
  uint32_t seed = 0;  // of the mini-batch order and of fresh LoRA and value-head weights
  double learning_rate = 1.41e-5;  // of Adam, constant
  bool adap_kl_ctrl = true;
  double init_kl_coef = 0.2;
  KlPenalty kl_penalty = KlPenalty::kKl;
  double target = 6.0;       // of the adaptive controller, nats per sequence
  double horizon = 10000.0;  // of the adaptive controller, rollouts
  double gamma = 1.0;
  double lam = 0.95;
  double cliprange = 0.2;
  double cliprange_value = 0.2;
  double vf_coef = 0.1;
  int batch_size = 128;                 // rollouts per step, exactly
  int mini_batch_size = 128;            // rollouts per forward and backward
  int gradient_accumulation_steps = 1;  // mini-batches per optimizer step
  int ppo_epochs = 4;
  std::optional<double> max_grad_norm;  // global L2 norm; absent: no clipping
  bool early_stopping = false;          // stop the epochs of a step when policykl > 1.5 target_kl
  double target_kl = 1.0;
  double ratio_threshold = 10.0;  // a mini-batch whose mean ratio is above is not trained on
  bool whiten_rewards = false;
  bool use_score_scaling = false;
  bool use_score_norm = false;       // acts only with use_score_scaling
  std::optional<double> score_clip;  // clamp scores to +- this
  double missing_eos_penalty =
      0;  // subtracted from the (processed) score of a response without end token
  double max_importance_weight =
      2.0;  // truncates the correction of stale rollouts (pi_now / pi_behavior)

  // Reproduce TRL 0.11.3 number by number: the first response token does not count, gradients are
  // clipped only in the first optimizer step of the run, a skipped mini-batch still makes an Adam
  // step (with zero gradient), accumulated mini-batches weigh the same whatever their tokens,
  // whitened rewards leak out of the padding, response lengths include the start token.
  bool trl_compat = false;

  // The products with frozen weights are in it, forward and backward: fp32 or bf16. What is
  // trained, losses and the optimizer are fp32.
  nn::WeightType precision = nn::WeightType::kFloat32;
  Reference reference = Reference::kStart;
  std::optional<nn::LoraConfig> lora;  // of a fresh adapter, when none is given to start from
  std::string value_head_file;  // TRL's v_head.summary.{weight,bias} (value_head.h); empty: random

  // InvalidArgument naming field and value.
  [[nodiscard]] absl::Status Validate() const;

  friend bool operator==(const PpoConfig&, const PpoConfig&) = default;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_PPO_CONFIG_H_
