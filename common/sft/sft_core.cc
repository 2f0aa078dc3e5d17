#include "common/sft/sft_core.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nn/torch/tensors.h"
#include "common/sft/linear_schedule.h"

namespace mellow::sft {
namespace {

std::vector<std::pair<std::string, at::Tensor>> NamedParameters(const nn::TorchLora& lora) {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const nn::TorchLora::Named& p : lora.parameters()) {
    out.emplace_back(p.module + ".lora_A.weight", p.a);
    out.emplace_back(p.module + ".lora_B.weight", p.b);
  }
  return out;
}

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

// In one order, whatever the instruction set.
double Sum(const at::Tensor& x) {
  double sum = 0;
  for (const float v : nn::ToVector(x)) sum += v;
  return sum;
}

}  // namespace

SftCore::SftCore(const SftConfig& config, std::unique_ptr<nn::TrainableT5> model,
                 nn::TorchLora lora)
    : config_(config),
      model_(std::move(model)),
      lora_(std::move(lora)),
      adam_(NamedParameters(lora_), {.beta1 = config.adam_beta1,
                                     .beta2 = config.adam_beta2,
                                     .epsilon = config.adam_epsilon,
                                     .weight_decay = config.weight_decay}) {}

nn::TeacherForced SftCore::Pack(absl::Span<const Pair> pairs) const {
  std::vector<nn::PairView> views;
  for (const Pair& pair : pairs) views.push_back({pair.source_ids, pair.target_ids});
  return nn::PackPairs(views, model_->config().decoder_start_token_id, model_->device());
}

double SftCore::ComputeGradients(absl::Span<const Pair> pairs,
                                 const std::function<void()>& between) {
  adam_.ZeroGradients();
  const auto tokens = static_cast<double>(TargetTokens(pairs));
  const auto batch_size = static_cast<size_t>(config_.batch_size);
  double sum = 0;
  for (size_t begin = 0; begin < pairs.size(); begin += batch_size) {
    if (begin > 0 && between) between();
    const nn::TeacherForced packed = Pack(pairs.subspan(begin, batch_size));
    const nn::DropoutOptions dropout = {
        .model_rate = config_.model_dropout.value_or(model_->config().dropout_rate),
        .lora_rate = lora_.config().lora_dropout,
        .seed = config_.seed,
        .step = static_cast<uint32_t>(step()),
        .first_row = static_cast<uint32_t>(begin)};
    const std::unique_ptr<nn::TrainableT5::Pass> pass = model_->Forward(packed, lora_, &dropout);
    const nn::HeadOutput head =
        model_->ScoreTargets(pass->hidden(), packed.labels,
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
  result.gradient_norm = adam_.GradientNorm();
  result.learning_rate =
      LinearSchedule(config_.learning_rate, config_.warmup_steps, config_.total_steps, step());
  result.tokens = SourceTokens(pairs) + TargetTokens(pairs);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    adam_.ZeroGradients();
    return absl::OutOfRangeError(
        absl::StrCat("step ", step() + 1, ": loss ", result.loss, ", gradient norm ",
                     result.gradient_norm, ": not finite (learning rate ", result.learning_rate,
                     "; a smaller optimizer.learning_rate or max_grad_norm may help)"));
  }
  if (config_.max_grad_norm > 0) {
    const double factor = config_.max_grad_norm / (result.gradient_norm + 1e-6);
    if (factor < 1) adam_.ScaleGradients(factor);
  }
  adam_.Step(result.learning_rate);
  adam_.ZeroGradients();
  model_->ReleaseMemory();  // a PPO step may come before the next one
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
    const at::Tensor hidden = model_->Hidden(packed, lora_);
    sum -= Sum(model_->ScoreTargets(hidden, packed.labels, {}).logprobs);
  }
  model_->ReleaseMemory();
  return sum / static_cast<double>(TargetTokens(pairs));
}

}  // namespace mellow::sft
