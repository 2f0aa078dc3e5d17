#include "common/rl/ppo_trainer.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/rl/trainer_core.h"

namespace mellow::rl {
namespace {

absl::Status Bad(size_t row, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("rollout ", row, ": ", what));
}

absl::Status ValidateIds(size_t row, absl::string_view field, absl::Span<const int32_t> ids,
                         int vocab_size) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size)
      return Bad(row, absl::StrCat(field, " holds id ", id, ", the vocabulary has ", vocab_size));
  }
  return absl::OkStatus();
}

absl::Status ValidateRollout(size_t row, const Rollout& r, int vocab_size) {
  if (r.query_ids.empty()) return Bad(row, "query_ids is empty");
  if (r.response_ids.empty()) return Bad(row, "response_ids is empty");
  MELLOW_RETURN_IF_ERROR(ValidateIds(row, "query_ids", r.query_ids, vocab_size));
  MELLOW_RETURN_IF_ERROR(ValidateIds(row, "response_ids", r.response_ids, vocab_size));
  if (!std::isfinite(r.score)) return Bad(row, "score is not finite");
  if (r.stale && r.behavior_logprobs.empty())
    return Bad(row, "stale, but without behavior_logprobs");
  for (const auto& [field, numbers] :
       {std::pair("behavior_logprobs", &r.behavior_logprobs), std::pair("values", &r.values),
        std::pair("reference_logprobs", &r.reference_logprobs)}) {
    if (!numbers->empty() && numbers->size() != r.response_ids.size()) {
      return Bad(row, absl::StrCat(numbers->size(), " ", field, " for ", r.response_ids.size(),
                                   " response_ids"));
    }
    for (const float number : *numbers) {
      if (!std::isfinite(number))
        return Bad(row, absl::StrCat(field, " holds a number that is not finite"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ValueHead> InitialValueHead(const PpoConfig& config, int64_t d_model) {
  if (!config.value_head_file.empty()) {
    absl::StatusOr<ValueHead> head = nn::ReadValueHead(config.value_head_file, d_model);
    if (!head.ok()) return Annotate(head.status(), "value_head_file");
    return head;
  }
  // PyTorch's default for a linear layer, weight and bias.
  const double bound = 1.0 / std::sqrt(static_cast<double>(d_model));
  return ValueHead{nn::UniformWeights(config.seed, "v_head.summary.weight", d_model, bound),
                   nn::UniformWeights(config.seed, "v_head.summary.bias", 1, bound)[0]};
}

nn::LoraConfig FreshConfig(const PpoConfig& config) {
  const nn::LoraConfig peft_default{.r = 8, .lora_alpha = 8, .target_modules = {"q", "v"}};
  return config.lora.value_or(peft_default);
}

}  // namespace

class PpoTrainer::Impl {
 public:
  explicit Impl(std::unique_ptr<TrainerCore> core) : core(std::move(core)) {}
  std::unique_ptr<TrainerCore> core;
};

absl::StatusOr<std::unique_ptr<PpoTrainer>> PpoTrainer::Create(
    const std::string& model_folder, const PpoConfig& config,
    const std::optional<nn::LoraWeights>& start, const train::TrainerOptions& options) {
  MELLOW_RETURN_IF_ERROR(config.Validate());
  return nn::CatchTorch([&]() -> absl::StatusOr<std::unique_ptr<PpoTrainer>> {
    MELLOW_ASSIGN_OR_RETURN(
        train::AdaptedModel policy,
        train::LoadToTrain(model_folder, FreshConfig(config), config.seed, start,
                           {options.device, options.threads, config.precision}));
    nn::TorchLora reference(policy.model->modules());
    if (config.reference == Reference::kStart) {
      MELLOW_ASSIGN_OR_RETURN(reference,
                              policy.model->Adapt(policy.lora.ToHost(), /*trainable=*/false));
    }
    MELLOW_ASSIGN_OR_RETURN(const ValueHead head,
                            InitialValueHead(config, policy.model->config().d_model));
    return std::unique_ptr<PpoTrainer>(new PpoTrainer(std::make_unique<Impl>(
        std::make_unique<TrainerCore>(config, std::move(policy), std::move(reference), head))));
  });
}

absl::Status PpoTrainer::Check(const std::string& model_folder, const PpoConfig& config,
                               const std::optional<nn::LoraWeights>& start) {
  MELLOW_RETURN_IF_ERROR(config.Validate());
  MELLOW_ASSIGN_OR_RETURN(const nn::T5Config model, nn::ReadT5Config(model_folder));
  MELLOW_RETURN_IF_ERROR(InitialValueHead(config, model.d_model).status());
  return nn::CatchTorch(
      [&] { return train::CheckToTrain(model_folder, FreshConfig(config), config.seed, start); });
}

PpoTrainer::PpoTrainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PpoTrainer::~PpoTrainer() = default;

const PpoConfig& PpoTrainer::config() const { return impl_->core->config(); }
const nn::T5Config& PpoTrainer::model_config() const { return impl_->core->model().config(); }
int64_t PpoTrainer::step() const { return impl_->core->step(); }
double PpoTrainer::kl_coef() const { return impl_->core->kl_coef(); }
int64_t PpoTrainer::trainable_parameters() const { return impl_->core->trainable_parameters(); }
int64_t PpoTrainer::total_parameters() const {
  return impl_->core->model().parameter_count() + trainable_parameters();
}

absl::StatusOr<StepResult> PpoTrainer::Step(absl::Span<const Rollout> rollouts, GroupSource* source,
                                            const std::function<void()>& between) {
  if (static_cast<int64_t>(rollouts.size()) != config().batch_size) {
    return absl::InvalidArgumentError(
        absl::StrCat(rollouts.size(), " rollouts, batch_size is ", config().batch_size));
  }
  for (size_t i = 0; i < rollouts.size(); ++i)
    MELLOW_RETURN_IF_ERROR(ValidateRollout(i, rollouts[i], model_config().vocab_size));
  return nn::CatchTorch([&] { return impl_->core->Step(rollouts, source, between); });
}

nn::LoraWeights PpoTrainer::Adapter() const { return impl_->core->policy().ToHost(); }
nn::LoraWeights PpoTrainer::ReferenceAdapter() const { return impl_->core->reference().ToHost(); }
ValueHead PpoTrainer::value_head() const { return impl_->core->value_head(); }

absl::Status PpoTrainer::set_value_head(const ValueHead& head) {
  if (static_cast<int64_t>(head.weight.size()) != model_config().d_model) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a value head of ", head.weight.size(), " weights, d_model is ", model_config().d_model));
  }
  impl_->core->set_value_head(head);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<float>>> PpoTrainer::ScoreTokens(
    absl::Span<const ScoreRow> rows, Which which, std::vector<std::vector<float>>* values) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].query_ids.empty()) return Bad(i, "query_ids is empty");
    MELLOW_RETURN_IF_ERROR(
        ValidateIds(i, "query_ids", rows[i].query_ids, model_config().vocab_size));
    MELLOW_RETURN_IF_ERROR(
        ValidateIds(i, "response_ids", rows[i].response_ids, model_config().vocab_size));
  }
  return nn::CatchTorch([&]() -> absl::StatusOr<std::vector<std::vector<float>>> {
    const TrainerCore& core = *impl_->core;
    return impl_->core->Score(rows, which == Which::kCurrent ? core.policy() : core.reference(),
                              values);
  });
}

absl::Status PpoTrainer::SaveState(const std::string& folder) const {
  return nn::CatchTorch([&] { return impl_->core->SaveState(folder); });
}

absl::Status PpoTrainer::RestoreState(const std::string& folder) {
  return nn::CatchTorch([&] { return impl_->core->RestoreState(folder); });
}

}  // namespace mellow::rl
