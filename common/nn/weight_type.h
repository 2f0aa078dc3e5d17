#ifndef MELLOW_COMMON_NN_WEIGHT_TYPE_H_
#define MELLOW_COMMON_NN_WEIGHT_TYPE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::nn {

// How the frozen matrices are stored. LoRA, attention, norms and what lies between the layers are
// fp32 whatever the weights are; on the CPU a product with bfloat16 or int8 weights rounds its
// input as well (kernels::PanelFormat).
enum class WeightType { kFloat32, kBFloat16, kFloat16, kInt8 };
// "float32" or "fp32", "bfloat16" or "bf16", "float16" or "fp16", "int8".
[[nodiscard]] absl::StatusOr<WeightType> ParseWeightType(absl::string_view text);
// float32 or bfloat16, which trainers compute in; InvalidArgument naming the field `precision`.
[[nodiscard]] absl::StatusOr<WeightType> ParseTrainingPrecision(absl::string_view text);
[[nodiscard]] absl::string_view WeightTypeName(WeightType type);  // the first of its names above

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHT_TYPE_H_
