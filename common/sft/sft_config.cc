#include "common/sft/sft_config.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"

namespace mellow::sft {
namespace {

template <typename T>
absl::Status Check(bool good, absl::string_view field, T value, absl::string_view wanted) {
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, ": must be ", wanted));
}

// Written so that NaN fails.
absl::Status CheckRate(absl::string_view field, double value) {
  return Check(value >= 0 && value < 1, field, value, "at least 0 and below 1");
}
absl::Status CheckPositive(absl::string_view field, double value) {
  return Check(value > 0 && value < 1e30, field, value, "above 0");
}
absl::Status CheckNotNegative(absl::string_view field, double value) {
  return Check(value >= 0 && value < 1e30, field, value, "at least 0");
}

}  // namespace

absl::Status SftConfig::Validate() const {
  MELLOW_RETURN_IF_ERROR(lora.Validate());
  MELLOW_RETURN_IF_ERROR(CheckPositive("optimizer.learning_rate", learning_rate));
  MELLOW_RETURN_IF_ERROR(CheckNotNegative("optimizer.weight_decay", weight_decay));
  MELLOW_RETURN_IF_ERROR(CheckRate("optimizer.adam_beta1", adam_beta1));
  MELLOW_RETURN_IF_ERROR(CheckRate("optimizer.adam_beta2", adam_beta2));
  MELLOW_RETURN_IF_ERROR(CheckPositive("optimizer.adam_epsilon", adam_epsilon));
  MELLOW_RETURN_IF_ERROR(CheckNotNegative("optimizer.max_grad_norm", max_grad_norm));
  MELLOW_RETURN_IF_ERROR(
      Check(total_steps >= 1 && total_steps <= INT32_MAX, "max_steps", total_steps, "at least 1"));
  MELLOW_RETURN_IF_ERROR(Check(warmup_steps >= 0 && warmup_steps <= total_steps,
                               "schedule.warmup_steps", warmup_steps,
                               absl::StrCat("from 0 to the ", total_steps, " steps of the run")));
  MELLOW_RETURN_IF_ERROR(Check(batch_size >= 1, "batch_size", batch_size, "at least 1"));
  MELLOW_RETURN_IF_ERROR(CheckRate("label_smoothing", label_smoothing));
  if (model_dropout) MELLOW_RETURN_IF_ERROR(CheckRate("model_dropout", *model_dropout));
  return absl::OkStatus();
}

}  // namespace mellow::sft
