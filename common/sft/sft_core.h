#ifndef MELLOW_COMMON_SFT_SFT_CORE_H_
#define MELLOW_COMMON_SFT_SFT_CORE_H_

// The inside of SftTrainer. Throws what ATen throws; SftTrainer catches it.

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/torch/teacher_forcing.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/sft/sft_config.h"
#include "common/sft/sft_trainer.h"
#include "common/train/lora_trainer.h"

namespace mellow::sft {

class SftCore {
 public:
  SftCore(const SftConfig& config, train::AdaptedModel adapted);

  [[nodiscard]] absl::StatusOr<StepResult> Step(absl::Span<const Pair> pairs,
                                                const std::function<void()>& between = {});
  [[nodiscard]] double Evaluate(absl::Span<const Pair> pairs,
                                const std::function<void()>& between = {});
  // The step's mean loss; leaves its gradient in the adapter's tensors. Precondition: pairs are
  // valid.
  [[nodiscard]] double ComputeGradients(absl::Span<const Pair> pairs,
                                        const std::function<void()>& between = {});

  [[nodiscard]] absl::Status SaveState(const std::string& folder) const;
  [[nodiscard]] absl::Status RestoreState(const std::string& folder);

  [[nodiscard]] const SftConfig& config() const { return config_; }
  [[nodiscard]] const nn::TrainableT5& model() const { return *trainer_.model(); }
  [[nodiscard]] const nn::TorchLora& lora() const { return trainer_.lora(); }
  [[nodiscard]] int64_t step() const { return trainer_.adam().steps(); }
  [[nodiscard]] int64_t trainable_parameters() const { return trainer_.parameters(); }

 private:
  [[nodiscard]] nn::TeacherForced Pack(absl::Span<const Pair> pairs) const;

  const SftConfig config_;
  train::LoraTrainer trainer_;  // its optimizer's count of steps is the run's
};

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_SFT_CORE_H_
