#include "services/orchestrator/rollouts/reward_scoring.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/rollouts/reward_text.h"

namespace mellow::orchestrator {

absl::StatusOr<std::string> ScoredText(const RunConfig& config, const text::Tokenizer& tokenizer,
                                       int32_t decoder_start_token_id, const Prompt& prompt,
                                       const Rollout& rollout) {
  const std::optional<int> drawn = prompt.max_new_tokens;
  absl::StatusOr<std::string> text =
      RewardText(config.reward, tokenizer, decoder_start_token_id, rollout,
                 drawn ? drawn : config.sampling.max_new_tokens);
  if (text.ok()) return text;
  return Annotate(text.status(), absl::StrCat("decoding rollout ", rollout.prompt_index));
}

LeasedWork::Call ScoreTexts(NodeClients* clients, const NodeHandle& node,
                            std::vector<std::string> texts, ScoreLabels labels,
                            absl::Duration timeout,
                            std::function<absl::Status(const std::vector<Score>&)> keep) {
  return [texts = std::move(texts), labels = std::move(labels), timeout, keep = std::move(keep),
          node_id = node.node_id,
          client = clients->Reward(node.node_id, node.address)](std::stop_token stop) {
    LeasedWork::Outcome outcome;
    const absl::StatusOr<ScoreAnswer> answer = client->Score(texts, timeout, std::move(stop));
    if (!answer.ok()) {
      outcome.status = answer.status();
      return outcome;
    }
    absl::StatusOr<std::vector<Score>> scores =
        PickScores(labels.config, *answer, texts.size(), labels.field);
    outcome.status = Annotate(scores.status(), node_id);
    if (!scores.ok()) return outcome;
    outcome.work = static_cast<double>(texts.size());
    outcome.record = [keep, scores = *std::move(scores)] { return keep(scores); };
    return outcome;
  };
}

}  // namespace mellow::orchestrator
