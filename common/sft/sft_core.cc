#include "common/sft/sft_core.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "common/nn/torch/tensors.h"
#include "common/sft/linear_schedule.h"

namespace mellow::sft {
namespace {

int64_t TargetTokens(absl::Span<const Pair> pairs) {
  int64_t tokens = 0;
  for (const Pair& pair : pairs) tokens += static_cast<int64_t>(pair.target_ids.size());
  return tokens;
}

int64_t SourceTokens(absl::Span<const Pair> pairs) {
  int64_t tokens = 0;
  for (const Pair& pair : pairs) tokens += static_cast<int64_t>(pair.source_ids.size());
  return tokens;
}

// What must be equal for a state to fit.
json::Value MadeWith(const SftConfig& config) {
  return {{"seed", config.seed}, {"total_steps", config.total_steps}};
}

// In one order, whatever the instruction set.
double Sum(const at::Tensor& x) {
  double sum = 0;
  for (const float v : nn::ToVector(x)) sum += v;
  return sum;
}

}  // namespace

SftCore::SftCore(const SftConfig& config, train::AdaptedModel adapted)
    : config_(config),
      trainer_(std::move(adapted), {},
               {.beta1 = config.adam_beta1,
                .beta2 = config.adam_beta2,
                .epsilon = config.adam_epsilon,
                .weight_decay = config.weight_decay}) {}

nn::TeacherForced SftCore::Pack(absl::Span<const Pair> pairs) const {
  std::vector<nn::PairView> views;
  for (const Pair& pair : pairs) views.push_back({pair.source_ids, pair.target_ids});
  return nn::PackPairs(views, model().config().decoder_start_token_id, model().device());
}

double SftCore::ComputeGradients(absl::Span<const Pair> pairs,
                                 const std::function<void()>& between) {
  trainer_.adam()->ZeroGradients();
  const auto tokens = static_cast<double>(TargetTokens(pairs));
  const auto batch_size = static_cast<size_t>(config_.batch_size);
  double sum = 0;
  for (size_t begin = 0; begin < pairs.size(); begin += batch_size) {
    if (begin > 0 && between) between();
    const nn::TeacherForced packed = Pack(pairs.subspan(begin, batch_size));
    const nn::DropoutOptions dropout = {
        .model_rate = config_.model_dropout.value_or(model().config().dropout_rate),
        .lora_rate = lora().config().lora_dropout,
        .seed = config_.seed,
        .step = static_cast<uint32_t>(step()),
        .first_row = static_cast<uint32_t>(begin)};
    const std::unique_ptr<nn::TrainableT5::Pass> pass =
        trainer_.model()->Forward(packed, lora(), &dropout);
    const nn::HeadOutput head = trainer_.model()->ScoreTargets(
        pass->hidden(), packed.labels,
        {.jacobian = true, .label_smoothing = config_.label_smoothing});
    const at::NoGradGuard no_grad;
    sum -= Sum(head.logprobs);
    pass->Backward(head.jacobian * (-1 / tokens));
  }
  return sum / tokens;
}

absl::StatusOr<StepResult> SftCore::Step(absl::Span<const Pair> pairs,
                                         const std::function<void()>& between) {
  if (step() >= config_.total_steps)
    return absl::FailedPreconditionError(
        absl::StrCat("all ", config_.total_steps, " steps are done"));
  StepResult result;
  result.loss = ComputeGradients(pairs, between);
  result.gradient_norm = trainer_.adam()->GradientNorm();
  result.learning_rate =
      LinearSchedule(config_.learning_rate, config_.warmup_steps, config_.total_steps, step());
  result.tokens = SourceTokens(pairs) + TargetTokens(pairs);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    trainer_.adam()->ZeroGradients();
    return absl::OutOfRangeError(
        absl::StrCat("step ", step() + 1, ": loss ", result.loss, ", gradient norm ",
                     result.gradient_norm, ": not finite (learning rate ", result.learning_rate,
                     "; a smaller optimizer.learning_rate or max_grad_norm may help)"));
  }
  trainer_.Step(result.learning_rate, result.gradient_norm,
                config_.max_grad_norm > 0 ? std::optional(config_.max_grad_norm) : std::nullopt);
  trainer_.model()->ReleaseMemory();  // a PPO step may come before the next one
  result.step = step();
  return result;
}

double SftCore::Evaluate(absl::Span<const Pair> pairs, const std::function<void()>& between) {
  const at::NoGradGuard no_grad;
  const auto batch_size = static_cast<size_t>(config_.batch_size);
  double sum = 0;
  for (size_t begin = 0; begin < pairs.size(); begin += batch_size) {
    if (begin > 0 && between) between();
    const nn::TeacherForced packed = Pack(pairs.subspan(begin, batch_size));
    const at::Tensor hidden = trainer_.model()->Hidden(packed, lora());
    sum -= Sum(trainer_.model()->ScoreTargets(hidden, packed.labels, {}).logprobs);
  }
  trainer_.model()->ReleaseMemory();
  return sum / static_cast<double>(TargetTokens(pairs));
}

absl::Status SftCore::SaveState(const std::string& folder) const {
  return trainer_.SaveState(folder, MadeWith(config_), {{"step", step()}}, {});
}

absl::Status SftCore::RestoreState(const std::string& folder) {
  int64_t steps = 0;
  MELLOW_RETURN_IF_ERROR(trainer_.RestoreState(
      folder, MadeWith(config_), {},
      [&](const json::Value& numbers) { return train::ReadCount(numbers, "step", &steps); }));
  trainer_.adam()->set_steps(steps);
  return absl::OkStatus();
}

}  // namespace mellow::sft
