#ifndef MELLOW_COMMON_NN_TORCH_TEACHER_FORCING_H_
#define MELLOW_COMMON_NN_TORCH_TEACHER_FORCING_H_

// Forward passes over (source, target) pairs whose target is given.

#include <ATen/ATen.h>

#include <cstdint>

#include "absl/types/span.h"
#include "common/nn/torch/torch_t5.h"

namespace mellow::nn {

struct PairView {
  absl::Span<const int32_t> source;
  absl::Span<const int32_t> target;  // without the start token; not empty
};

// Some pairs as the model reads them, without padding. The decoder's input is the start token and
// the target without its last token, so that position t predicts target token t.
struct TeacherForced {
  PackedIds source;
  PackedIds target;   // the decoder's inputs
  at::Tensor labels;  // [target tokens] int64: what they predict
};

[[nodiscard]] TeacherForced PackPairs(absl::Span<const PairView> pairs, int32_t start_token,
                                      at::Device device);

// The decoder's final hidden states, [target tokens, d_model]; with autograd when gradients are
// enabled. `dropout` may be null.
[[nodiscard]] at::Tensor TeacherForcedStates(TorchT5* model, const TeacherForced& pairs,
                                             const TorchLora& lora, Dropout* dropout = nullptr);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TEACHER_FORCING_H_
