#ifndef MELLOW_COMMON_RL_TRAINER_CORE_H_
#define MELLOW_COMMON_RL_TRAINER_CORE_H_

// The inside of PpoTrainer: weights, optimizer, and the two halves of a step (experience, updates).
// Throws what ATen throws; PpoTrainer catches it.

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/rl/advantages.h"
#include "common/rl/group_engine.h"
#include "common/rl/group_work.h"
#include "common/rl/kl_controller.h"
#include "common/rl/losses.h"
#include "common/rl/numpy_random.h"
#include "common/rl/packed_rows.h"
#include "common/rl/ppo_config.h"
#include "common/rl/ppo_trainer.h"
#include "common/rl/running_moments.h"
#include "common/rl/step_stats.h"
#include "common/train/lora_trainer.h"

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

class TrainerCore : public LocalGroups {
 public:
  TrainerCore(const PpoConfig& config, train::AdaptedModel policy, nn::TorchLora reference,
              const ValueHead& head);

  // `source`: where the work is done; null: here. `between`: as PpoTrainer::Step.
  [[nodiscard]] absl::StatusOr<StepResult> Step(absl::Span<const Rollout> rollouts,
                                                GroupSource* source,
                                                const std::function<void()>& between);
  // `values` may be null.
  [[nodiscard]] std::vector<std::vector<float>> Score(absl::Span<const ScoreRow> rows,
                                                      const nn::TorchLora& lora,
                                                      std::vector<std::vector<float>>* values);

  [[nodiscard]] ValueHead value_head() const;
  void set_value_head(const ValueHead& head);

  [[nodiscard]] absl::Status SaveState(const std::string& folder) const;
  [[nodiscard]] absl::Status RestoreState(const std::string& folder);

  [[nodiscard]] const PpoConfig& config() const { return config_; }
  [[nodiscard]] const nn::TrainableT5& model() const { return *trainer_.model(); }
  [[nodiscard]] const nn::TorchLora& policy() const { return weights_.policy; }
  [[nodiscard]] const nn::TorchLora& reference() const { return reference_; }
  [[nodiscard]] int64_t step() const { return step_; }
  [[nodiscard]] double kl_coef() const { return kl_.value(); }
  [[nodiscard]] int64_t trainable_parameters() const { return trainer_.parameters(); }

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
  // What a step is computed from and with.
  struct StepWork {
    absl::Span<const Rollout> rollouts;
    std::vector<size_t> tokens;  // of each rollout, query and response
    GroupSource* source = nullptr;
    std::function<void()> between;
    KeptForward kept;  // of the first mini-batch, until the first update
  };

  Evaluation Evaluate(const EvaluationTask& task) override;
  GradientAnswer Gradient(const GradientTask& task) override;
  TrainedWeights Current() const override;
  TrainedWeights Reference() const override;
  size_t parameters() const override { return static_cast<size_t>(trainer_.parameters()); }

  // Each in BalancedOrder.
  [[nodiscard]] std::vector<MiniBatch> DrawMiniBatches(const StepWork& work,
                                                       NumpyRandom* random) const;
  // Here or at the source. `keep`: the first task's forward, when that is here.
  [[nodiscard]] absl::StatusOr<std::vector<Evaluation>> EvaluateAll(
      const std::vector<EvaluationTask>& tasks, StepWork* work, bool keep);
  [[nodiscard]] absl::StatusOr<Experience> Collect(const std::vector<MiniBatch>& plan,
                                                   StepWork* work, Seconds* seconds);
  [[nodiscard]] absl::StatusOr<Updates> Train(const Experience& experience,
                                              const Advantages& advantages,
                                              std::vector<MiniBatch> plan, NumpyRandom* random,
                                              StepWork* work);
  // Adds the mini-batch's gradient, times `scale`, to *gradient (empty: zero). False when it is
  // skipped.
  [[nodiscard]] absl::StatusOr<bool> Accumulate(const Experience& experience,
                                                const Advantages& advantages, const MiniBatch& rows,
                                                double scale, StepWork* work, LossStats* stats,
                                                std::vector<float>* gradient);
  // `gradient`: of all parameters one after the other; empty: zero.
  void OptimizerStep(absl::Span<const float> gradient, double factor, Updates* updates);

  const PpoConfig config_;
  DeviceWeights weights_;       // the trainer's
  train::LoraTrainer trainer_;  // its parameters are in the order of GradientAnswer
  nn::TorchLora reference_;
  KlController kl_;
  RunningMoments moments_;
  NumpyRandom random_;
  int64_t step_ = 0;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_TRAINER_CORE_H_
