#include "services/orchestrator/run/judge_step.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/stats/mean.h"
#include "services/orchestrator/rollouts/reward_text.h"
#include "services/orchestrator/run/node_calls.h"

namespace mellow::orchestrator {
namespace {

// The logits of the judge's label; `texts` were asked for.
absl::StatusOr<std::vector<double>> LogitsOf(const ScoreAnswer& answer, const std::string& name,
                                             size_t texts) {
  MELLOW_ASSIGN_OR_RETURN(const size_t label, FindLabel("guard.judge.label", name, answer.labels));
  if (answer.scores.size() != texts)
    return absl::InternalError(absl::StrCat(answer.scores.size(), " scores for ", texts, " texts"));
  std::vector<double> logits;
  for (const TextScore& score : answer.scores) {
    if (label >= score.logits.size() || !std::isfinite(score.logits[label]))
      return absl::InternalError("a score is missing or not finite");
    logits.push_back(score.logits[label]);
  }
  return logits;
}

}  // namespace

std::vector<size_t> JudgedPositions(size_t rollouts, double share) {
  const auto count = std::clamp<size_t>(
      static_cast<size_t>(std::llround(share * static_cast<double>(rollouts))), 1, rollouts);
  std::vector<size_t> positions;
  for (size_t i = 0; i < count; ++i) positions.push_back(i * rollouts / count);
  return positions;
}

absl::StatusOr<JudgeFigures> JudgeStep(const DriverParts& parts, const RunConfig& config, int step,
                                       absl::Span<const Prompt> prompts,
                                       absl::Span<const Rollout> rollouts, RunObserver* observer,
                                       const RunSignals& signals) {
  const JudgeConfig& judge = *config.guard->judge;
  const std::string& label = judge.label.empty() ? config.reward.label : judge.label;
  std::vector<std::string> texts;
  for (const size_t i : JudgedPositions(rollouts.size(), judge.share)) {
    const std::optional<int> drawn = prompts[i].max_new_tokens;
    MELLOW_ASSIGN_OR_RETURN(
        std::string text, RewardText(config.reward, *parts.tokenizer, parts.decoder_start_token_id,
                                     rollouts[i], drawn ? drawn : config.sampling.max_new_tokens));
    texts.push_back(std::move(text));
  }
  NodeCalls calls(NodeRole::kJudge, parts.registry, observer, signals);
  std::vector<double> logits;
  while (logits.size() < texts.size()) {
    const auto begin = texts.begin() + static_cast<ptrdiff_t>(logits.size());
    const std::vector<std::string> some(
        begin, begin + std::min<ptrdiff_t>(config.shard_prompts, texts.end() - begin));
    MELLOW_RETURN_IF_ERROR(calls.Call(
        absl::StrCat("step ", step, ": judge ", logits.size(), "/", texts.size()),
        [&](const NodeHandle& node, std::stop_token stop) -> absl::Status {
          MELLOW_ASSIGN_OR_RETURN(const ScoreAnswer answer,
                                  parts.clients->Reward(node.node_id, node.address)
                                      ->Score(some, config.lease, std::move(stop)));
          const absl::StatusOr<std::vector<double>> found = LogitsOf(answer, label, some.size());
          if (!found.ok()) return Annotate(found.status(), node.node_id);
          logits.insert(logits.end(), found->begin(), found->end());
          return absl::OkStatus();
        }));
  }
  const stats::MeanSd scores = stats::MeanAndSd(logits);
  return JudgeFigures{.score_mean = scores.mean, .score_sd = scores.sd};
}

}  // namespace mellow::orchestrator
