#include "services/orchestrator/base/run_config.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace mellow::orchestrator {
namespace {

template <typename T>
absl::Status Bad(absl::string_view field, const T& value, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, ": ", rule));
}

absl::Status ValidateSampling(const RolloutSampling& sampling) {
  const bool has_min = sampling.length_sampler_min.has_value();
  if (has_min != sampling.length_sampler_max.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("generation.length_sampler_", has_min ? "max" : "min",
                     ": missing; length_sampler_min and length_sampler_max go together"));
  }
  if (has_min) {
    if (*sampling.length_sampler_min < 1) {
      return Bad("generation.length_sampler_min", *sampling.length_sampler_min,
                 "must be at least 1");
    }
    if (*sampling.length_sampler_max <= *sampling.length_sampler_min) {
      return Bad("generation.length_sampler_max", *sampling.length_sampler_max,
                 absl::StrCat("must be larger than length_sampler_min (",
                              *sampling.length_sampler_min, ")"));
    }
    if (sampling.max_new_tokens) {
      return Bad("generation.sampling.max_new_tokens", *sampling.max_new_tokens,
                 "not together with length_sampler_min and length_sampler_max");
    }
  }
  const int shortest =
      sampling.length_sampler_min.value_or(sampling.max_new_tokens.value_or(1 << 30));
  if (sampling.min_new_tokens > shortest) {
    return Bad("generation.sampling.min_new_tokens", sampling.min_new_tokens,
               absl::StrCat("more than the ", shortest, " tokens that a response may have"));
  }
  return absl::OkStatus();
}

absl::Status ValidateReward(const RewardConfig& reward) {
  if (reward.label.empty()) return absl::InvalidArgumentError("reward.label: empty");
  if (!absl::StrContains(reward.text_template, "{response}")) {
    return Bad("reward.text_template", reward.text_template, "must contain {response}");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunConfig::Validate() const {
  if (steps < 1) return Bad("steps", steps, "must be at least 1");
  if (steps > 1000000) return Bad("steps", steps, "must be at most 1000000");
  MELLOW_RETURN_IF_ERROR(data.Validate(data::DataUse::kPpo));
  if (data.path.front() != '/')
    return Bad("data.path", data.path, "must be absolute here (mellow train makes it so)");
  MELLOW_RETURN_IF_ERROR(ValidateSampling(sampling));
  MELLOW_RETURN_IF_ERROR(ValidateReward(reward));
  if (batch_size < 1 || batch_size > 65536) {
    return Bad("ppo.batch_size", batch_size, "must be between 1 and 65536");
  }
  if (max_staleness < 0) return Bad("max_staleness", max_staleness, "must not be negative");
  if (shard_prompts < 1 || shard_prompts > 1024) {
    return Bad("shard_prompts", shard_prompts, "must be between 1 and 1024");
  }
  if (!(lease > absl::ZeroDuration() && lease <= absl::Hours(24 * 7))) {
    return Bad("lease_seconds", absl::ToDoubleSeconds(lease),
               "must be positive and at most a week");
  }
  return guard ? guard->Validate() : absl::OkStatus();
}

absl::Status RunConfig::CheckFits(const NodeReport& node, const RequestBytes& bytes) const {
  const NodeCapacity& takes = node.capacity;
  const auto check = [&node](absl::string_view field, int value, int limit) -> absl::Status {
    if (limit <= 0 || value <= limit) return absl::OkStatus();
    return Bad(field, value, absl::StrCat(node.node_id, " takes at most ", limit));
  };
  const auto check_bytes = [&](absl::string_view field, int value,
                               int64_t request) -> absl::Status {
    if (takes.max_message_bytes <= 0 || request <= takes.max_message_bytes) return absl::OkStatus();
    return Bad(field, value,
               absl::StrCat("a request of ", request, " bytes, ", node.node_id, " takes at most ",
                            takes.max_message_bytes, " (--max-message-mib)"));
  };
  const int shard = std::min(shard_prompts, batch_size);
  if (node.role == NodeRole::kLearner) return check_bytes("ppo.batch_size", batch_size, bytes.step);
  MELLOW_RETURN_IF_ERROR(check("shard_prompts", shard, takes.max_request_items));
  if (node.role != NodeRole::kPolicy) return check_bytes("shard_prompts", shard, bytes.texts);
  MELLOW_RETURN_IF_ERROR(check_bytes("shard_prompts", shard, bytes.prompts));
  // Not data.max_source_tokens: the prompts may be short.
  MELLOW_RETURN_IF_ERROR(
      check("sampling.max_new_tokens", sampling.max_new_tokens.value_or(0), takes.max_new_tokens));
  // Drawn from [min, max).
  return check("sampling.length_sampler_max", sampling.length_sampler_max.value_or(1) - 1,
               takes.max_new_tokens);
}

}  // namespace mellow::orchestrator
