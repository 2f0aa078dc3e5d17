#include "common/nn/torch/teacher_forcing.h"

#include <vector>

#include "common/nn/torch/tensors.h"

namespace mellow::nn {

TeacherForced PackPairs(absl::Span<const PairView> pairs, int32_t start_token, at::Device device) {
  std::vector<std::vector<int64_t>> sources, targets;
  std::vector<int64_t> labels;
  for (const PairView& pair : pairs) {
    sources.emplace_back(pair.source.begin(), pair.source.end());
    std::vector<int64_t>& target = targets.emplace_back();
    target.push_back(start_token);
    target.insert(target.end(), pair.target.begin(), pair.target.end() - 1);
    labels.insert(labels.end(), pair.target.begin(), pair.target.end());
  }
  return {PackIds(sources, device), PackIds(targets, device), IdTensor(labels, device)};
}

at::Tensor TeacherForcedStates(TorchT5* model, const TeacherForced& pairs, const TorchLora& lora,
                               Dropout* dropout) {
  const at::Tensor encoded = model->Encode(pairs.source, lora, dropout);
  return model->Decode(pairs.target, encoded, pairs.source.lengths, lora, dropout);
}

}  // namespace mellow::nn
