#ifndef MELLOW_COMMON_NN_VALUE_HEAD_H_
#define MELLOW_COMMON_NN_VALUE_HEAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace mellow::nn {

// PPO's critic: v = weight . h + bias on the decoder's final hidden state h, which is not scaled
// for a tied head.
struct ValueHead {
  std::vector<float> weight;  // d_model
  float bias = 0;
};

// weight . hidden + bias over `width` numbers: one sum in double precision, in order. Products of
// two floats are exact there, so that every CPU and every caller (sampler, trainer) has the same
// bits.
[[nodiscard]] float ValueOf(const float* weight, float bias, const float* hidden, int64_t width);

// TRL's file formats: v_head.summary.weight [1, d_model] and v_head.summary.bias [1] in safetensors
// or in a pytorch_model.bin (told apart by their first bytes). NotFound, DataLoss as
// ReadSafetensors and ReadTorchZip, DataLoss also for numbers that are not finite;
// FailedPrecondition naming the tensor that is missing, has another shape, or is there besides.
[[nodiscard]] absl::StatusOr<ValueHead> ReadValueHead(const std::string& path, int64_t d_model);

// The same as bytes of a safetensors file, for the wire: equal heads have equal bytes.
[[nodiscard]] std::string SerializeValueHead(const ValueHead& head);
// Errors as ReadValueHead.
[[nodiscard]] absl::StatusOr<ValueHead> ParseValueHead(const std::string& bytes, int64_t d_model);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_VALUE_HEAD_H_
