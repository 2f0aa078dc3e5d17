#include "services/orchestrator/rollouts/request_bytes.h"

#include <algorithm>
#include <string>

#include "common/base/status.h"
#include "services/orchestrator/rollouts/reward_scoring.h"

namespace mellow::orchestrator {
namespace {

// What a rollout has as the learner gets it: two adapters and the value head by their sha256 in
// hex, the numbers that it has one of, and the lengths of its lists.
constexpr int64_t kRolloutBytes = 280;
// What a response token has: its id, its log-probs under both weights and its value.
constexpr int64_t kTokenBytes = 3 + 3 * sizeof(float);
// Length, index and limits of a prompt; length of a text.
constexpr int64_t kPromptBytes = 24;
constexpr int64_t kTextBytes = 5;
// As long as a response may be where nobody says it.
constexpr int kDefaultTokens = 128;

// As protobuf packs them.
int64_t IdBytes(absl::Span<const int32_t> ids) {
  int64_t bytes = 0;
  for (const int32_t id : ids) bytes += id < (1 << 7) ? 1 : id < (1 << 14) ? 2 : 3;
  return bytes;
}

}  // namespace

absl::StatusOr<RequestBytes> LargestRequests(const RunConfig& config,
                                             const text::Tokenizer& tokenizer,
                                             int32_t decoder_start_token_id,
                                             absl::Span<const Prompt> prompts) {
  RequestBytes largest;
  RequestBytes shard;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (i % static_cast<size_t>(config.shard_prompts) == 0) shard = {};
    const Prompt& prompt = prompts[i];
    const int64_t ids = IdBytes(prompt.ids);
    const int tokens =
        prompt.max_new_tokens.value_or(config.sampling.max_new_tokens.value_or(kDefaultTokens));
    largest.step += kRolloutBytes + ids + kTokenBytes * tokens;
    shard.prompts += kPromptBytes + ids;
    largest.prompts = std::max(largest.prompts, shard.prompts);
    MELLOW_ASSIGN_OR_RETURN(
        const std::string text,
        ScoredText(config, tokenizer, decoder_start_token_id, prompt,
                   {.prompt_index = prompt.prompt_index, .query_ids = prompt.ids}));
    shard.texts += kTextBytes + static_cast<int64_t>(text.size());
    largest.texts = std::max(largest.texts, shard.texts);
  }
  return largest;
}

}  // namespace mellow::orchestrator
