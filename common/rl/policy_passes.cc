#include "common/rl/policy_passes.h"

#include "common/nn/torch/tensors.h"

namespace mellow::rl {

PackedRollouts PackRollouts(absl::Span<const RolloutIds> rollouts, int32_t start_token,
                            at::Device device) {
  std::vector<std::vector<int64_t>> sources, targets;
  std::vector<int64_t> actions;
  for (const RolloutIds& r : rollouts) {
    sources.emplace_back(r.query.begin(), r.query.end());
    std::vector<int64_t>& target = targets.emplace_back();
    target.push_back(start_token);
    target.insert(target.end(), r.response.begin(), r.response.end() - 1);
    actions.insert(actions.end(), r.response.begin(), r.response.end());
  }
  return {nn::PackIds(sources, device), nn::PackIds(targets, device), nn::IdTensor(actions, device)};
}

at::Tensor Trunk(nn::TorchT5* model, const PackedRollouts& rollouts, const nn::TorchLora& lora) {
  const at::Tensor encoded = model->Encode(rollouts.source, lora);
  return model->Decode(rollouts.target, encoded, rollouts.source.lengths, lora);
}

Rows ToRows(const at::Tensor& packed, const std::vector<int64_t>& lengths) {
  const std::vector<float> all = nn::ToVector(packed);
  Rows rows;
  auto begin = all.begin();
  for (const int64_t length : lengths) {
    rows.emplace_back(begin, begin + length);
    begin += length;
  }
  return rows;
}

at::Tensor FromRows(const Rows& rows, at::Device device) {
  std::vector<float> all;
  for (const std::vector<float>& row : rows) all.insert(all.end(), row.begin(), row.end());
  return nn::FloatTensor(all, device);
}

}  // namespace mellow::rl
