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
#include "common/nn/torch/adamw.h"
#include "common/nn/torch/teacher_forcing.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/sft/sft_config.h"
#include "common/sft/sft_trainer.h"

namespace mellow::sft {

class SftCore {
 public:
  SftCore(const SftConfig& config, std::unique_ptr<nn::TrainableT5> model, nn::TorchLora lora);

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
  [[nodiscard]] const nn::TrainableT5& model() const { return *model_; }
  [[nodiscard]] const nn::TorchLora& lora() const { return lora_; }
  [[nodiscard]] int64_t step() const { return adam_.steps(); }

 private:
  [[nodiscard]] nn::TeacherForced Pack(absl::Span<const Pair> pairs) const;

  const SftConfig config_;
  const std::unique_ptr<nn::TrainableT5> model_;
  nn::TorchLora lora_;
  nn::AdamW adam_;  // its step count is the run's
};

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_SFT_CORE_H_
