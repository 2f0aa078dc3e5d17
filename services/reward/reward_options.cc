#include "services/reward/reward_options.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/wire/models.h"
#include "services/wire/text_limit.h"

namespace mellow::reward {

int64_t RewardOptions::TextBytes(int max_tokens) const {
  return max_text_bytes > 0 ? max_text_bytes : wire::DefaultMaxTextBytes(max_tokens);
}

int64_t RewardOptions::MessageBytes(int max_tokens) const {
  return wire::MessageBytesFor(queue_capacity, max_tokens, TextBytes(max_tokens));
}

absl::Status RewardOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(service.Validate());
  if (model.empty())
    return absl::InvalidArgumentError(
        "--model: a Hugging Face RoBERTa sequence classification folder is needed");
  if (threads < 0 || threads > 1024)
    return absl::InvalidArgumentError(absl::StrCat("--threads ", threads, ": between 0 and 1024"));
  if (max_batch_tokens < 16)
    return absl::InvalidArgumentError(
        absl::StrCat("--max-batch-tokens ", max_batch_tokens, ": at least 16"));
  if (queue_capacity < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("--queue-capacity ", queue_capacity, ": at least 1"));
  if (max_text_bytes < 0 || max_text_bytes > int64_t{1} << 30)
    return absl::InvalidArgumentError(
        absl::StrCat("--max-text-bytes ", max_text_bytes, ": between 0 and ", int64_t{1} << 30));
  if (!(linger_ms >= 0 && linger_ms <= 1000))
    return absl::InvalidArgumentError(
        absl::StrCat("--linger-ms ", linger_ms, ": between 0 and 1000"));
  return absl::OkStatus();
}

void AddRewardFlags(CLI::App* app, RewardOptions* options) {
  wire::AddServiceFlags(app, &options->service, "reward-0");
  wire::AddModelFlags(app, "RoBERTa", &options->model, &options->device, &options->threads,
                      &options->dtype);
  app->add_option("--toxic-label", options->toxic_label,
                  "Its probability is the toxicity; needed unless exactly one label has a known "
                  "name, such as hate, toxic or toxicity. A --judge needs none");
  app->add_option("--max-batch-tokens", options->max_batch_tokens, "Tokens classified together");
  app->add_option(
      "--queue-capacity", options->queue_capacity,
      "Texts that may wait, of users and as many of rollouts; more are refused at once");
  app->add_option("--max-text-bytes", options->max_text_bytes,
                  "Longest text that is tokenized, in bytes; longer ones are refused (0: 128 for "
                  "each token that the model reads, at least 65536)");
  app->add_option("--linger-ms", options->linger_ms, "Longest wait for batch mates");
  app->add_flag("--judge", options->judge,
                "Judge a share of the rollouts of runs that ask for it (guard.judge), and give no "
                "rewards");
}

}  // namespace mellow::reward
