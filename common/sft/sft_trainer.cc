#include "common/sft/sft_trainer.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/sft/sft_core.h"

namespace mellow::sft {
namespace {

absl::Status CheckIds(size_t pair, absl::string_view field, absl::Span<const int32_t> ids,
                      int vocab_size) {
  if (ids.empty())
    return absl::InvalidArgumentError(absl::StrCat("pair ", pair, ": ", field, " is empty"));
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(absl::StrCat("pair ", pair, ": ", field, " holds id ", id,
                                                     ", the vocabulary has ", vocab_size));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPairs(absl::Span<const Pair> pairs, int vocab_size) {
  if (pairs.empty()) return absl::InvalidArgumentError("there are no pairs");
  for (size_t i = 0; i < pairs.size(); ++i) {
    MELLOW_RETURN_IF_ERROR(CheckIds(i, "source_ids", pairs[i].source_ids, vocab_size));
    MELLOW_RETURN_IF_ERROR(CheckIds(i, "target_ids", pairs[i].target_ids, vocab_size));
  }
  return absl::OkStatus();
}

}  // namespace

class SftTrainer::Impl {
 public:
  explicit Impl(std::unique_ptr<SftCore> core) : core(std::move(core)) {}
  std::unique_ptr<SftCore> core;
};

absl::StatusOr<std::unique_ptr<SftTrainer>> SftTrainer::Create(
    const std::string& model_folder, const SftConfig& config,
    const std::optional<nn::LoraWeights>& start, const train::TrainerOptions& options) {
  MELLOW_RETURN_IF_ERROR(config.Validate());
  return nn::CatchTorch([&]() -> absl::StatusOr<std::unique_ptr<SftTrainer>> {
    MELLOW_ASSIGN_OR_RETURN(
        train::AdaptedModel adapted,
        train::LoadToTrain(model_folder, config.lora, config.seed, start,
                           {options.device, options.threads, config.precision}));
    return std::unique_ptr<SftTrainer>(new SftTrainer(
        std::make_unique<Impl>(std::make_unique<SftCore>(config, std::move(adapted)))));
  });
}

absl::Status SftTrainer::Check(const std::string& model_folder, const SftConfig& config,
                               const std::optional<nn::LoraWeights>& start) {
  MELLOW_RETURN_IF_ERROR(config.Validate());
  return nn::CatchTorch(
      [&] { return train::CheckToTrain(model_folder, config.lora, config.seed, start); });
}

SftTrainer::SftTrainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SftTrainer::~SftTrainer() = default;

const SftConfig& SftTrainer::config() const { return impl_->core->config(); }
const nn::T5Config& SftTrainer::model_config() const { return impl_->core->model().config(); }
int64_t SftTrainer::step() const { return impl_->core->step(); }

int64_t SftTrainer::trainable_parameters() const { return impl_->core->trainable_parameters(); }
int64_t SftTrainer::total_parameters() const {
  return impl_->core->model().parameter_count() + trainable_parameters();
}

absl::StatusOr<StepResult> SftTrainer::Step(absl::Span<const Pair> pairs,
                                            const std::function<void()>& between) {
  MELLOW_RETURN_IF_ERROR(CheckPairs(pairs, model_config().vocab_size));
  return nn::CatchTorch([&] { return impl_->core->Step(pairs, between); });
}

absl::StatusOr<double> SftTrainer::Evaluate(absl::Span<const Pair> pairs,
                                            const std::function<void()>& between) {
  MELLOW_RETURN_IF_ERROR(CheckPairs(pairs, model_config().vocab_size));
  return nn::CatchTorch([&]() -> absl::StatusOr<double> {
    const double loss = impl_->core->Evaluate(pairs, between);
    if (!std::isfinite(loss))
      return absl::OutOfRangeError(absl::StrCat("the dev loss after step ", step(), " is ", loss));
    return loss;
  });
}

nn::LoraWeights SftTrainer::Adapter() const { return impl_->core->lora().ToHost(); }

absl::Status SftTrainer::SaveState(const std::string& folder) const {
  return nn::CatchTorch([&] { return impl_->core->SaveState(folder); });
}

absl::Status SftTrainer::RestoreState(const std::string& folder) {
  return nn::CatchTorch([&] { return impl_->core->RestoreState(folder); });
}

}  // namespace mellow::sft
