#ifndef MELLOW_COMMON_RL_TRAINER_CORE_H_
#define MELLOW_COMMON_RL_TRAINER_CORE_H_

// The inside of PpoTrainer: weights, optimizer, and the two halves of a step (experience, updates).
// Throws what ATen throws; PpoTrainer catches it.

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/torch/adamw.h"
#include "common/nn/torch/teacher_forcing.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/rl/advantages.h"
#include "common/rl/kl_controller.h"
#include "common/rl/losses.h"
#include "common/rl/numpy_random.h"
#include "common/rl/packed_rows.h"
#include "common/rl/ppo_config.h"
#include "common/rl/ppo_trainer.h"
#include "common/rl/running_moments.h"
#include "common/rl/step_stats.h"

namespace mellow::rl {

// What the weights before the step say about the batch; all rows in the order of the rollouts.
struct Experience {
  MaskRows mask;
  Rows old_logprobs;  // what the ratio is taken against
  Rows old_values;
  Rows reference_logprobs;
  Rows full_kl;             // with KlPenalty::kFull
  Rows importance_weights;  // empty without stale rollouts
  int passes_skipped = 0;   // because the rollouts have their numbers
};

// A training forward whose weights have not moved since: computed with the experience, used by the
// first update.
struct KeptForward {
  std::unique_ptr<nn::TrainableT5::Pass> pass;
  nn::HeadOutput head;
};

class TrainerCore {
 public:
  TrainerCore(const PpoConfig& config, std::unique_ptr<nn::TrainableT5> model, nn::TorchLora policy,
              nn::TorchLora reference, const ValueHead& head);

  [[nodiscard]] absl::StatusOr<StepResult> Step(absl::Span<const Rollout> rollouts);
  // `values` may be null.
  [[nodiscard]] std::vector<std::vector<float>> Score(absl::Span<const ScoreRow> rows,
                                                      const nn::TorchLora& lora,
                                                      std::vector<std::vector<float>>* values);

  [[nodiscard]] ValueHead value_head() const;
  void set_value_head(const ValueHead& head);

  [[nodiscard]] absl::Status SaveState(const std::string& folder) const;
  [[nodiscard]] absl::Status RestoreState(const std::string& folder);

  [[nodiscard]] const PpoConfig& config() const { return config_; }
  [[nodiscard]] const nn::TrainableT5& model() const { return *model_; }
  [[nodiscard]] const nn::TorchLora& policy() const { return policy_; }
  [[nodiscard]] const nn::TorchLora& reference() const { return reference_; }
  [[nodiscard]] int64_t step() const { return step_; }
  [[nodiscard]] double kl_coef() const { return kl_.value(); }

 private:
  using MiniBatch = std::vector<int>;  // rows of the batch

  struct Seconds {
    double forward = 0;
    double reference = 0;
    double rewards = 0;
    double optimize = 0;
  };
  // What the optimizer did in a step.
  struct Updates {
    std::vector<LossStats> losses;  // one per mini-batch
    std::vector<double> gradient_norms;
    int skipped = 0;
  };

  [[nodiscard]] std::vector<MiniBatch> DrawMiniBatches(NumpyRandom* random) const;
  [[nodiscard]] nn::TeacherForced Pack(absl::Span<const Rollout> rollouts,
                                       const MiniBatch& rows) const;

  [[nodiscard]] Experience Collect(absl::Span<const Rollout> rollouts,
                                   const std::vector<MiniBatch>& plan, KeptForward* kept,
                                   Seconds* seconds);
  [[nodiscard]] Updates Train(absl::Span<const Rollout> rollouts, const Experience& experience,
                              const Advantages& advantages, std::vector<MiniBatch> plan,
                              NumpyRandom* random, KeptForward kept);
  // Adds the mini-batch's gradient, times `scale`, to the parameters'. False when it is skipped.
  [[nodiscard]] bool Accumulate(absl::Span<const Rollout> rollouts, const Experience& experience,
                                const Advantages& advantages, const MiniBatch& rows, double scale,
                                KeptForward kept, LossStats* stats);
  void OptimizerStep(Updates* updates);

  const PpoConfig config_;
  const std::unique_ptr<nn::TrainableT5> model_;
  nn::TorchLora policy_;
  nn::TorchLora reference_;
  at::Tensor value_weight_;  // [d_model], gradient by hand
  at::Tensor value_bias_;    // [1]
  nn::AdamW adam_;
  KlController kl_;
  RunningMoments moments_;
  NumpyRandom random_;
  int64_t step_ = 0;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_TRAINER_CORE_H_
