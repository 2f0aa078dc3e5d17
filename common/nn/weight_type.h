#ifndef MELLOW_COMMON_NN_WEIGHT_TYPE_H_
#define MELLOW_COMMON_NN_WEIGHT_TYPE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::nn {

// How the frozen matrices are stored. Activations, LoRA, norms and sums are fp32 whatever the
// weights are.
enum class WeightType { kFloat32, kBFloat16, kFloat16, kInt8 };
// "float32" or "fp32", "bfloat16" or "bf16", "float16" or "fp16", "int8".
[[nodiscard]] absl::StatusOr<WeightType> ParseWeightType(absl::string_view text);
[[nodiscard]] absl::string_view WeightTypeName(WeightType type);  // the first of its names above

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHT_TYPE_H_
