#include "services/orchestrator/rollouts/reward_text.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"

namespace mellow::orchestrator {

absl::StatusOr<std::string> RewardText(const RewardConfig& config, const text::Tokenizer& tokenizer,
                                       int32_t decoder_start_token_id, const Rollout& rollout,
                                       std::optional<int> max_new_tokens) {
  const bool skip = !config.keep_special_tokens;
  const bool fills_limit =
      max_new_tokens ? std::cmp_greater_equal(rollout.response_ids.size(), *max_new_tokens)
                     : !rollout.finished;
  std::vector<int32_t> response_ids;
  if (!skip && !fills_limit) response_ids.push_back(decoder_start_token_id);
  response_ids.insert(response_ids.end(), rollout.response_ids.begin(), rollout.response_ids.end());
  MELLOW_ASSIGN_OR_RETURN(const std::string query, tokenizer.Decode(rollout.query_ids, skip));
  MELLOW_ASSIGN_OR_RETURN(const std::string response, tokenizer.Decode(response_ids, skip));
  constexpr absl::string_view kQuery = "{query}";
  constexpr absl::string_view kResponse = "{response}";
  std::string text;
  for (absl::string_view rest = config.text_template; !rest.empty();) {
    if (absl::ConsumePrefix(&rest, kQuery)) {
      text += query;
    } else if (absl::ConsumePrefix(&rest, kResponse)) {
      text += response;
    } else {
      text += rest.front();
      rest.remove_prefix(1);
    }
  }
  return text;
}

absl::StatusOr<size_t> FindLabel(absl::string_view field, const std::string& label,
                                 absl::Span<const std::string> labels) {
  const auto it = std::find(labels.begin(), labels.end(), label);
  if (it != labels.end()) return static_cast<size_t>(it - labels.begin());
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", label, ": the reward node has ", absl::StrJoin(labels, ", ")));
}

absl::StatusOr<std::vector<Score>> PickScores(const RewardConfig& config, const ScoreAnswer& answer,
                                              size_t texts, absl::string_view field) {
  if (answer.scores.size() != texts) {
    return absl::InternalError(absl::StrCat(answer.scores.size(), " scores for ", texts, " texts"));
  }
  MELLOW_ASSIGN_OR_RETURN(const size_t label,
                          FindLabel(absl::StrCat(field, ".label"), config.label, answer.labels));
  std::optional<size_t> toxic;
  if (!config.toxic_label.empty()) {
    MELLOW_ASSIGN_OR_RETURN(
        toxic, FindLabel(absl::StrCat(field, ".toxic_label"), config.toxic_label, answer.labels));
  }
  std::vector<Score> scores;
  for (const TextScore& text : answer.scores) {
    if (text.logits.size() != answer.labels.size() ||
        text.probabilities.size() != answer.labels.size()) {
      return absl::InternalError(absl::StrCat(text.logits.size(), " logits and ",
                                              text.probabilities.size(), " probabilities for ",
                                              answer.labels.size(), " labels"));
    }
    const Score score{text.logits[label], toxic ? text.probabilities[*toxic] : text.toxicity};
    if (!std::isfinite(score.score) || !std::isfinite(score.toxicity)) {
      return absl::InternalError("a score is not finite");
    }
    scores.push_back(score);
  }
  return scores;
}

}  // namespace mellow::orchestrator
