#include "common/rl/group_engine.h"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/rl/packed_rows.h"
#include "common/rl/value_math.h"

namespace mellow::rl {
namespace {

nn::TeacherForced Pack(const nn::TrainableT5& model, const Sequences& sequences) {
  std::vector<nn::PairView> ids;
  for (size_t i = 0; i < sequences.size(); ++i)
    ids.push_back({sequences.query_ids[i], sequences.response_ids[i]});
  return nn::PackPairs(ids, model.config().decoder_start_token_id, model.device());
}

void AppendGradient(const at::Tensor& parameter, std::vector<float>* all) {
  const at::Tensor& gradient = parameter.grad();
  const auto count = static_cast<size_t>(parameter.numel());
  if (!gradient.defined()) return all->resize(all->size() + count);
  const at::Tensor host = gradient.to(at::kCPU, at::kFloat).contiguous();
  const float* const values = host.const_data_ptr<float>();
  all->insert(all->end(), values, values + count);
}

}  // namespace

Evaluation EvaluateGroup(nn::TrainableT5* model, const DeviceWeights& weights,
                         const nn::TorchLora& reference, const EvaluationTask& task,
                         KeptForward* keep) {
  const nn::TeacherForced packed = Pack(*model, task.sequences);
  const std::vector<int64_t>& lengths = packed.target.lengths;
  Evaluation out;
  at::Tensor hidden;
  if (keep != nullptr) {
    keep->pass = model->Forward(packed, weights.policy, nullptr);
    hidden = keep->pass->hidden();
  } else if (task.needs_current()) {
    hidden = model->Hidden(packed, weights.policy);
  }
  const at::NoGradGuard no_grad;
  if (task.values)
    out.values = ToRows(Values(hidden, weights.value_weight, weights.value_bias), lengths);
  if (task.logprobs || keep != nullptr) {
    nn::HeadOutput head = model->ScoreTargets(
        hidden, packed.labels, {.entropies = keep != nullptr, .jacobian = keep != nullptr});
    if (task.logprobs) out.logprobs = ToRows(head.logprobs, lengths);
    if (keep != nullptr) keep->head = std::move(head);
  }
  if (!task.needs_reference()) return out;
  const at::Tensor base = model->Hidden(packed, reference);
  if (task.reference_logprobs)
    out.reference_logprobs = ToRows(model->ScoreTargets(base, packed.labels, {}).logprobs, lengths);
  if (task.full_kl) out.full_kl = ToRows(model->VocabularyKl(hidden, base), lengths);
  return out;
}

GradientAnswer ComputeGradient(nn::TrainableT5* model, const DeviceWeights& weights,
                               const GradientTask& task, KeptForward kept) {
  const nn::TeacherForced packed = Pack(*model, task.sequences);
  const std::vector<int64_t>& lengths = packed.target.lengths;
  if (kept.pass == nullptr) {
    kept.pass = model->Forward(packed, weights.policy, nullptr);
    kept.head = model->ScoreTargets(kept.pass->hidden(), packed.labels,
                                    {.entropies = true, .jacobian = true});
  }
  const at::Tensor& hidden = kept.pass->hidden();
  GradientAnswer out;
  out.logprobs = ToRows(kept.head.logprobs, lengths);
  out.values = ToRows(Values(hidden, weights.value_weight, weights.value_bias), lengths);
  out.entropies = ToRows(kept.head.entropies, lengths);
  const Losses losses = LossesOf(task, out);
  const at::NoGradGuard no_grad;
  const at::Tensor d_logprobs = FromRows(losses.d_logprobs, model->device()).mul_(task.scale);
  const at::Tensor d_values = FromRows(losses.d_values, model->device()).mul_(task.scale);
  // Also of what a failure leaves: it must not be added to the next gradient of these weights.
  const absl::Cleanup forget = [&weights] {
    for (const nn::TorchLora::Named& p : weights.policy.parameters()) {
      p.a.mutable_grad() = at::Tensor();
      p.b.mutable_grad() = at::Tensor();
    }
  };
  kept.pass->Backward(
      HiddenGradient(std::move(kept.head.jacobian), d_logprobs, d_values, weights.value_weight));
  int64_t numbers = weights.value_weight.numel() + 1;  // and the value head's bias
  for (const nn::TorchLora::Named& p : weights.policy.parameters())
    numbers += p.a.numel() + p.b.numel();
  out.gradient.reserve(static_cast<size_t>(numbers));
  for (const nn::TorchLora::Named& p : weights.policy.parameters()) {
    AppendGradient(p.a, &out.gradient);
    AppendGradient(p.b, &out.gradient);
  }
  const std::vector<float> value = nn::ToVector(ValueGradient(hidden, d_values, lengths));
  out.gradient.insert(out.gradient.end(), value.begin(), value.end());
  return out;
}

absl::StatusOr<DeviceWeights> ToDevice(const nn::TrainableT5& model,
                                       const TrainedWeights& weights) {
  MELLOW_ASSIGN_OR_RETURN(nn::TorchLora policy, model.Adapt(weights.adapter, /*trainable=*/true));
  DeviceWeights out{std::move(policy), {}, {}};
  const std::vector<float>& head = weights.value_head.weight;
  if (head.empty()) return out;
  if (static_cast<int>(head.size()) != model.config().d_model) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a value head of ", head.size(), " weights, d_model is ", model.config().d_model));
  }
  out.value_weight = nn::FloatTensor(head, model.device());
  out.value_bias = nn::FloatTensor({weights.value_head.bias}, model.device());
  return out;
}

}  // namespace mellow::rl
