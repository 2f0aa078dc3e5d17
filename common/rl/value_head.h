#ifndef MELLOW_COMMON_RL_VALUE_HEAD_H_
#define MELLOW_COMMON_RL_VALUE_HEAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mellow::rl {

// v = weight . h + bias on the decoder's final hidden state h.
struct ValueHead {
  std::vector<float> weight;  // d_model
  float bias = 0;
};

// TRL's file formats: v_head.summary.weight [1, d_model] and v_head.summary.bias [1] in safetensors
// or in a pytorch_model.bin (told apart by their first bytes). NotFound, DataLoss as
// ReadSafetensors and ReadTorchZip, DataLoss also for numbers that are not finite;
// FailedPrecondition naming the tensor that is missing, has another shape, or is there besides.
[[nodiscard]] absl::StatusOr<ValueHead> ReadValueHead(const std::string& path, int64_t d_model);
// Whole or not at all.
[[nodiscard]] absl::Status WriteValueHead(const std::string& path, const ValueHead& head);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_VALUE_HEAD_H_
