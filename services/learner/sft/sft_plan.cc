#include "services/learner/sft/sft_plan.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"

namespace mellow::learner {
namespace {

constexpr double kDefaultEpochs = 3;  // as transformers' TrainingArguments
constexpr double kMostSteps = 1e8;

template <typename T>
absl::Status Check(bool good, absl::string_view field, T value, absl::string_view wanted) {
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, ": must be ", wanted));
}

absl::Status CheckPositive(absl::string_view field, const std::optional<int>& value) {
  return Check(!value || *value >= 1, field, value.value_or(0), "at least 1");
}

absl::Status NotBoth(bool first, bool second, absl::string_view fields) {
  if (!first || !second) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(fields, ": give one of the two"));
}

}  // namespace

absl::Status SftPlan::Validate() const {
  MELLOW_RETURN_IF_ERROR(data.Validate(data::DataUse::kSft));
  MELLOW_RETURN_IF_ERROR(
      Check(gradient_accumulation_steps >= 1 && gradient_accumulation_steps <= 1 << 20,
            "gradient_accumulation_steps", gradient_accumulation_steps, "from 1 to 1048576"));
  MELLOW_RETURN_IF_ERROR(
      NotBoth(epochs.has_value(), max_steps.has_value(), "epochs and max_steps"));
  MELLOW_RETURN_IF_ERROR(
      Check(!epochs || (*epochs > 0 && *epochs < 1e6), "epochs", epochs.value_or(0), "above 0"));
  MELLOW_RETURN_IF_ERROR(CheckPositive("max_steps", max_steps));
  MELLOW_RETURN_IF_ERROR(CheckPositive("eval_every", eval_every));
  MELLOW_RETURN_IF_ERROR(CheckPositive("checkpoint_every", checkpoint_every));
  MELLOW_RETURN_IF_ERROR(NotBoth(warmup_steps.has_value(), warmup_ratio.has_value(),
                                 "schedule.warmup_steps and schedule.warmup_ratio"));
  MELLOW_RETURN_IF_ERROR(Check(!warmup_ratio || (*warmup_ratio >= 0 && *warmup_ratio <= 1),
                               "schedule.warmup_ratio", warmup_ratio.value_or(0), "from 0 to 1"));
  // The step counts are not known yet: whatever is right for them.
  sft::SftConfig config = trainer;
  config.total_steps = 1;
  return config.Validate();
}

absl::StatusOr<SftLength> LengthOf(const SftPlan& plan, int64_t steps_per_epoch) {
  SftLength length;
  const double steps =
      plan.max_steps
          ? *plan.max_steps
          : std::ceil(plan.epochs.value_or(kDefaultEpochs) * static_cast<double>(steps_per_epoch));
  MELLOW_RETURN_IF_ERROR(Check(steps >= 1 && steps <= kMostSteps, "epochs",
                               plan.epochs.value_or(kDefaultEpochs),
                               absl::StrCat("that of 1 to ", kMostSteps, " optimizer steps")));
  length.total_steps = static_cast<int64_t>(steps);
  length.warmup_steps =
      plan.warmup_steps ? *plan.warmup_steps
                        : static_cast<int64_t>(std::ceil(plan.warmup_ratio.value_or(0) * steps));
  length.eval_every = plan.eval_every.value_or(steps_per_epoch);
  length.checkpoint_every = plan.checkpoint_every.value_or(length.eval_every);
  return length;
}

}  // namespace mellow::learner
