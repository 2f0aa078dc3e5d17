#include "services/policy/policy_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/wire/adapter_stream.h"
#include "services/wire/models.h"
#include "services/wire/text_limit.h"

namespace mellow::policy {
namespace {

constexpr int64_t kMostSourceTokens = 1 << 20;

}  // namespace

int PolicyOptions::SourceTokens() const {
  if (max_source_tokens > 0) return max_source_tokens;
  return static_cast<int>(std::min(max_batch_tokens - max_new_tokens, kMostSourceTokens));
}

int64_t PolicyOptions::TextBytes() const {
  return max_text_bytes > 0 ? max_text_bytes : wire::DefaultMaxTextBytes(SourceTokens());
}

int64_t PolicyOptions::MessageBytes() const {
  // A queue full of ordinary prompts, or some of the longest.
  constexpr int kOrdinaryTokens = 512;
  constexpr int64_t kLongTexts = 16;
  return std::max(
      {wire::MessageBytesFor(queue_capacity, std::min(SourceTokens(), kOrdinaryTokens),
                             TextBytes()),
       wire::MessageBytesFor(std::min<int64_t>(queue_capacity, kLongTexts), SourceTokens(), 0),
       10 * max_batch_tokens, wire::kMaxAdapterMessageBytes});
}

int64_t PolicyOptions::OneTextBytes() const {
  // Room for a text that is too long to be refused by name, for ids, and for lists of bad words.
  return 2 * TextBytes() + 5 * SourceTokens() + (512 << 10);
}

absl::Status PolicyOptions::Validate() const {
  MELLOW_RETURN_IF_ERROR(service.Validate());
  if (model.empty())
    return absl::InvalidArgumentError("--model: a Hugging Face T5 folder is needed");
  if (!absl::StrContains(prompt_template, "{dialogue}"))
    return absl::InvalidArgumentError(
        absl::StrCat("--prompt-template '", prompt_template, "': must contain {dialogue}"));
  const struct {
    const char* flag;
    int64_t value, low, high;
  } ranges[] = {{"--threads", threads, 0, 1024},
                {"--max-source-tokens", max_source_tokens, 0, kMostSourceTokens},
                {"--max-new-tokens", max_new_tokens, 1, 1 << 20},
                {"--default-max-new-tokens", default_max_new_tokens, 1, max_new_tokens},
                {"--max-rows", max_rows, 1, 4096},
                {"--max-batch-tokens", max_batch_tokens,
                 std::max(max_source_tokens, 1) + max_new_tokens, int64_t{1} << 32},
                {"--max-text-bytes", max_text_bytes, 0, int64_t{1} << 30},
                {"--queue-capacity", queue_capacity, 1, 1 << 20},
                {"--max-adapters", max_adapters, 1, 1024}};
  for (const auto& r : ranges) {
    if (r.value < r.low || r.value > r.high)
      return absl::InvalidArgumentError(
          absl::StrCat(r.flag, " ", r.value, ": between ", r.low, " and ", r.high));
  }
  return absl::OkStatus();
}

void AddPolicyFlags(CLI::App* app, PolicyOptions* options) {
  wire::AddServiceFlags(app, &options->service, "policy-0");
  wire::AddModelFlags(app, "T5", &options->model, &options->device, &options->threads,
                      &options->dtype);
  app->add_option("--prompt-template", options->prompt_template,
                  "What Summarize puts around {dialogue}");
  app->add_option("--max-source-tokens", options->max_source_tokens,
                  "Longer prompts are refused; Summarize cuts the dialogue (0: what "
                  "--max-batch-tokens leaves beside --max-new-tokens)");
  app->add_option("--max-text-bytes", options->max_text_bytes,
                  "Longest text that is tokenized, in bytes; longer ones are refused (0: follows "
                  "from --max-source-tokens, at least 65536)");
  app->add_option("--max-new-tokens", options->max_new_tokens,
                  "Most tokens that a request may ask for");
  app->add_option("--default-max-new-tokens", options->default_max_new_tokens,
                  "When a request does not say");
  app->add_option("--max-rows", options->max_rows, "Sequences decoded together");
  app->add_option("--max-batch-tokens", options->max_batch_tokens,
                  "Source and new tokens of those sequences together");
  app->add_option(
      "--queue-capacity", options->queue_capacity,
      "Prompts that may wait, each lane (users and rollouts: while both wait, eight of users go "
      "before one rollout); more are refused at once");
  app->add_option("--max-adapters", options->max_adapters, "Newest adapter versions kept");
}

}  // namespace mellow::policy
