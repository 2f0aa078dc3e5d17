#include "common/rl/ppo_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::rl {
namespace {

absl::Status Bad(absl::string_view field, double value, absl::string_view must) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, ", must be ", must));
}

absl::Status Positive(absl::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return Bad(field, value, "a positive number");
}

absl::Status NotNegative(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Bad(field, value, "a number of at least 0");
}

absl::Status Fraction(absl::string_view field, double value) {
  if (value >= 0 && value <= 1) return absl::OkStatus();
  return Bad(field, value, "between 0 and 1");
}

}  // namespace

absl::string_view KlPenaltyName(KlPenalty mode) {
  switch (mode) {
    case KlPenalty::kKl:
      return "kl";
    case KlPenalty::kAbs:
      return "abs";
    case KlPenalty::kMse:
      return "mse";
    case KlPenalty::kFull:
      return "full";
  }
  return "kl";
}

absl::StatusOr<KlPenalty> ParseKlPenalty(absl::string_view name) {
  for (const KlPenalty mode :
       {KlPenalty::kKl, KlPenalty::kAbs, KlPenalty::kMse, KlPenalty::kFull}) {
    if (name == KlPenaltyName(mode)) return mode;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("kl_penalty: \"", name, "\", must be \"kl\", \"abs\", \"mse\" or \"full\""));
}

absl::string_view ReferenceName(Reference reference) {
  return reference == Reference::kStart ? "start" : "base";
}

absl::StatusOr<Reference> ParseReference(absl::string_view name) {
  if (name == "start") return Reference::kStart;
  if (name == "base") return Reference::kBase;
  return absl::InvalidArgumentError(
      absl::StrCat("reference: \"", name, "\", must be \"start\" or \"base\""));
}

absl::Status PpoConfig::Validate() const {
  MELLOW_RETURN_IF_ERROR(Positive("learning_rate", learning_rate));
  MELLOW_RETURN_IF_ERROR(NotNegative("init_kl_coef", init_kl_coef));
  MELLOW_RETURN_IF_ERROR(Positive("target", target));
  MELLOW_RETURN_IF_ERROR(Positive("horizon", horizon));
  MELLOW_RETURN_IF_ERROR(Fraction("gamma", gamma));
  MELLOW_RETURN_IF_ERROR(Fraction("lam", lam));
  MELLOW_RETURN_IF_ERROR(Positive("cliprange", cliprange));
  MELLOW_RETURN_IF_ERROR(Positive("cliprange_value", cliprange_value));
  MELLOW_RETURN_IF_ERROR(NotNegative("vf_coef", vf_coef));
  MELLOW_RETURN_IF_ERROR(Positive("batch_size", batch_size));
  MELLOW_RETURN_IF_ERROR(Positive("mini_batch_size", mini_batch_size));
  MELLOW_RETURN_IF_ERROR(Positive("gradient_accumulation_steps", gradient_accumulation_steps));
  MELLOW_RETURN_IF_ERROR(Positive("ppo_epochs", ppo_epochs));
  if (max_grad_norm) MELLOW_RETURN_IF_ERROR(Positive("max_grad_norm", *max_grad_norm));
  MELLOW_RETURN_IF_ERROR(Positive("target_kl", target_kl));
  MELLOW_RETURN_IF_ERROR(Positive("ratio_threshold", ratio_threshold));
  if (score_clip) MELLOW_RETURN_IF_ERROR(Positive("score_clip", *score_clip));
  MELLOW_RETURN_IF_ERROR(NotNegative("missing_eos_penalty", missing_eos_penalty));
  MELLOW_RETURN_IF_ERROR(Positive("max_importance_weight", max_importance_weight));
  const int64_t backward = int64_t{mini_batch_size} * gradient_accumulation_steps;
  if (batch_size % backward != 0) {
    return absl::InvalidArgumentError(absl::StrCat("batch_size: ", batch_size,
                                                   ", must be a multiple of mini_batch_size * ",
                                                   "gradient_accumulation_steps = ", backward));
  }
  return lora ? lora->Validate() : absl::OkStatus();
}

}  // namespace mellow::rl
