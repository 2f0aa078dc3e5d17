#include "common/nn/weight_type.h"

#include "absl/strings/str_cat.h"

namespace mellow::nn {

absl::StatusOr<WeightType> ParseWeightType(absl::string_view text) {
  if (text == "float32" || text == "fp32") return WeightType::kFloat32;
  if (text == "bfloat16" || text == "bf16") return WeightType::kBFloat16;
  if (text == "float16" || text == "fp16") return WeightType::kFloat16;
  if (text == "int8") return WeightType::kInt8;
  return absl::InvalidArgumentError(
      absl::StrCat("weight type \"", text,
                   "\": expected float32 (fp32), bfloat16 (bf16), float16 (fp16) or int8"));
}

absl::StatusOr<WeightType> ParseTrainingPrecision(absl::string_view text) {
  const absl::StatusOr<WeightType> type = ParseWeightType(text);
  if (type.ok() && (*type == WeightType::kFloat32 || *type == WeightType::kBFloat16)) return type;
  return absl::InvalidArgumentError(absl::StrCat(
      "precision: \"", text, "\": training runs in float32 (fp32) or bfloat16 (bf16)"));
}

absl::string_view WeightTypeName(WeightType type) {
  switch (type) {
    case WeightType::kFloat32:
      return "float32";
    case WeightType::kBFloat16:
      return "bfloat16";
    case WeightType::kFloat16:
      return "float16";
    case WeightType::kInt8:
      return "int8";
  }
  return "";
}

}  // namespace mellow::nn
