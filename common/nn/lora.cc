#include "common/nn/lora.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::nn {
namespace {

template <typename T>
absl::Status Check(bool good, const char* field, T value, const char* wanted) {
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("lora.", field, ": ", value, ": must be ", wanted));
}

}  // namespace

double LoraConfig::scaling() const { return lora_alpha / (use_rslora ? std::sqrt(r) : r); }

// Comparisons are written so that NaN fails.
absl::Status LoraConfig::Validate() const {
  MELLOW_RETURN_IF_ERROR(Check(r >= 1 && r <= 4096, "r", r, "from 1 to 4096"));
  MELLOW_RETURN_IF_ERROR(
      Check(lora_alpha > 0 && lora_alpha <= 1e9, "lora_alpha", lora_alpha, "above 0, at most 1e9"));
  MELLOW_RETURN_IF_ERROR(Check(lora_dropout >= 0 && lora_dropout < 1, "lora_dropout", lora_dropout,
                               "at least 0 and below 1"));
  return Check(!target_modules.empty(), "target_modules", "[]", "not empty");
}

}  // namespace mellow::nn
