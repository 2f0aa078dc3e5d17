#ifndef MELLOW_COMMON_SFT_SFT_TRAINER_H_
#define MELLOW_COMMON_SFT_SFT_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/nn/lora.h"
#include "common/nn/t5_config.h"
#include "common/sft/sft_config.h"
#include "common/train/trainer_options.h"

namespace mellow::sft {

struct Pair {
  std::vector<int32_t> source_ids;  // with </s>
  std::vector<int32_t> target_ids;  // with </s>, without the decoder start token
};

struct StepResult {
  int64_t step = 0;  // steps done, this one included
  double loss = 0;   // mean over the step's target tokens, nats, with label smoothing and dropout
  double learning_rate = 0;
  double gradient_norm = 0;  // global L2, before clipping
  int64_t tokens = 0;        // source and target
};

// Teacher-forced training of LoRA weights on a frozen T5 in fp32: one object is one run's optimizer
// state.
//
// A step's loss is the cross-entropy of the target tokens, averaged over all target tokens of the
// step however they are cut into batches (what transformers does from 4.46 on; 4.45 averages the
// means of accumulated batches). Rows are packed, so there is no padding to ignore. Optimizer:
// torch.optim.AdamW (common/nn/torch/adamw.h); gradients are clipped as
// torch.nn.utils.clip_grad_norm_ does; learning rate: get_linear_schedule_with_warmup
// (linear_schedule.h); dropout where transformers and PEFT have it (common/nn/torch/dropout.h).
// Deterministic: the same configuration and pairs give the same bits, on the CPU for any thread
// count and instruction set, also after SaveState and RestoreState. Not thread-safe. A Step that
// fails leaves the weights as they were.
class SftTrainer {
 public:
  // `model_folder`: a Hugging Face T5 folder. `start`: the adapter to go on from; absent: a fresh
  // one after config.lora. Errors: those of config.Validate and of the model folder;
  // InvalidArgument when the adapter does not fit the model.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SftTrainer>> Create(
      const std::string& model_folder, const SftConfig& config,
      const std::optional<nn::LoraWeights>& start, const train::TrainerOptions& options);
  // Whether Create could make one, as far as it can be told without the model's weights.
  [[nodiscard]] static absl::Status Check(const std::string& model_folder, const SftConfig& config,
                                          const std::optional<nn::LoraWeights>& start);
  ~SftTrainer();
  SftTrainer(const SftTrainer&) = delete;
  SftTrainer& operator=(const SftTrainer&) = delete;

  [[nodiscard]] const SftConfig& config() const;
  [[nodiscard]] const nn::T5Config& model_config() const;
  [[nodiscard]] int64_t step() const;
  [[nodiscard]] int64_t trainable_parameters() const;
  [[nodiscard]] int64_t total_parameters() const;  // with the adapter, as PEFT counts

  // One optimizer step on these pairs, config.batch_size of them at a time.
  // InvalidArgument: no pairs, an empty source or target, an id outside the vocabulary.
  // FailedPrecondition: total_steps are done. OutOfRange: loss or gradient is not finite.
  // `between` (may be empty) is called between two batches; what it does to other models does not
  // matter here.
  [[nodiscard]] absl::StatusOr<StepResult> Step(absl::Span<const Pair> pairs,
                                                const std::function<void()>& between = {});

  // Mean cross-entropy over the target tokens in nats, without smoothing and dropout. Errors as
  // Step.
  [[nodiscard]] absl::StatusOr<double> Evaluate(absl::Span<const Pair> pairs,
                                                const std::function<void()>& between = {});

  // A copy of the adapter.
  [[nodiscard]] nn::LoraWeights Adapter() const;

  // Everything that the next step depends on (adapter, AdamW's moments, step), into `folder`, which
  // exists (a checkpoint's staging folder).
  [[nodiscard]] absl::Status SaveState(const std::string& folder) const;
  // Continues bit for bit where SaveState was called. FailedPrecondition: the state is of another
  // adapter shape or configuration; DataLoss: corrupt. The trainer is then unchanged.
  [[nodiscard]] absl::Status RestoreState(const std::string& folder);

 private:
  class Impl;
  explicit SftTrainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_SFT_TRAINER_H_
