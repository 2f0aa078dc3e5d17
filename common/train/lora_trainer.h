#ifndef MELLOW_COMMON_TRAIN_LORA_TRAINER_H_
#define MELLOW_COMMON_TRAIN_LORA_TRAINER_H_

// What every method trains and how: the inside of PpoTrainer and SftTrainer. Throws what ATen
// throws; they catch it.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/json/value.h"
#include "common/nn/linear_shape.h"
#include "common/nn/lora.h"
#include "common/nn/torch/adamw.h"
#include "common/nn/torch/torch_lora.h"
#include "common/nn/torch/trainable_t5.h"
#include "common/train/trainer_numbers.h"
#include "common/train/trainer_options.h"

namespace mellow::train {

// The adapter that a run begins with: `start`, or a fresh one after `fresh` and `seed`.
// InvalidArgument: `start` has no modules, or a target of `fresh` names no module.
[[nodiscard]] absl::StatusOr<nn::LoraWeights> StartingAdapter(
    absl::Span<const nn::LinearShape> modules, const nn::LoraConfig& fresh, uint64_t seed,
    const std::optional<nn::LoraWeights>& start);

// A frozen model and the adapter that is to be trained on it.
struct AdaptedModel {
  std::unique_ptr<nn::TrainableT5> model;
  nn::TorchLora lora;
};
// Errors: those of the model folder and of StartingAdapter; InvalidArgument: the adapter does not
// fit the model.
[[nodiscard]] absl::StatusOr<AdaptedModel> LoadToTrain(const std::string& model_folder,
                                                       const nn::LoraConfig& fresh, uint64_t seed,
                                                       const std::optional<nn::LoraWeights>& start,
                                                       const TrainerOptions& options);

// Whether LoadToTrain would succeed, as far as it can be told without the model's weights. Errors
// as LoadToTrain's.
[[nodiscard]] absl::Status CheckToTrain(const std::string& model_folder,
                                        const nn::LoraConfig& fresh, uint64_t seed,
                                        const std::optional<nn::LoraWeights>& start);

// The weights that training moves, with AdamW over them. A method may train further parameters
// beside the adapter's. Not thread-safe.
class LoraTrainer {
 public:
  using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

  // `more`: parameters of the method, after the adapter's A and B in the order of their modules.
  LoraTrainer(AdaptedModel adapted, const NamedTensors& more, const nn::AdamWOptions& options);

  [[nodiscard]] nn::TrainableT5* model() const { return model_.get(); }
  [[nodiscard]] const nn::TorchLora& lora() const { return lora_; }
  [[nodiscard]] nn::AdamW* adam() { return &adam_; }
  [[nodiscard]] const nn::AdamW& adam() const { return adam_; }
  // Numbers that are trained.
  [[nodiscard]] int64_t parameters() const;

  // One step of the optimizer with the gradients that are there, which are gone afterwards. `norm`:
  // theirs (AdamW::GradientNorm); above `most` they are scaled down to it, as by
  // torch.nn.utils.clip_grad_norm_.
  void Step(double learning_rate, double norm, std::optional<double> most);

  // A checkpoint in `folder`, which exists: trainer.json has `made_with` (what must be equal for
  // the state to fit; the adapter's shape is added) and the method's `numbers`, trainer.safetensors
  // the parameters, their moments and `more`.
  [[nodiscard]] absl::Status SaveState(const std::string& folder, json::Value made_with,
                                       json::Value numbers, const NamedTensors& more) const;
  // Reads it back. `read` gets trainer.json and takes the method's numbers out of it; its error is
  // returned with the file's name. FailedPrecondition: another format, or the state is of another
  // adapter shape or configuration (the field is named); DataLoss: corrupt. Nothing is overwritten
  // then. The optimizer's count of steps is the caller's to set.
  [[nodiscard]] absl::Status RestoreState(
      const std::string& folder, json::Value made_with, const NamedTensors& more,
      const std::function<absl::Status(const json::Value& numbers)>& read);

 private:
  [[nodiscard]] NamedTensors State(const NamedTensors& more) const;

  const std::unique_ptr<nn::TrainableT5> model_;
  const nn::TorchLora lora_;
  nn::AdamW adam_;
};

// The adapter's A and B under PEFT's names, each with `prefix` before it.
[[nodiscard]] LoraTrainer::NamedTensors NamedParameters(const nn::TorchLora& lora,
                                                        absl::string_view prefix = "");

}  // namespace mellow::train

#endif  // MELLOW_COMMON_TRAIN_LORA_TRAINER_H_
