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
  const RewardConfig label{.label = judge.label.empty() ? config.reward.label : judge.label};
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
    MELLOW_RETURN_IF_ERROR(
        calls.Call(absl::StrCat("step ", step, ": judge ", logits.size(), "/", texts.size()),
                   [&](const NodeHandle& node, std::stop_token stop) -> absl::Status {
                     MELLOW_ASSIGN_OR_RETURN(const ScoreAnswer answer,
                                             parts.clients->Reward(node.node_id, node.address)
                                                 ->Score(some, config.lease, std::move(stop)));
                     const absl::StatusOr<std::vector<Score>> scores =
                         PickScores(label, answer, some.size(), "guard.judge");
                     if (!scores.ok()) return Annotate(scores.status(), node.node_id);
                     for (const Score& score : *scores) logits.push_back(score.score);
                     return absl::OkStatus();
                   }));
  }
  const stats::MeanSd scores = stats::MeanAndSd(logits);
  return JudgeFigures{.score_mean = scores.mean, .score_sd = scores.sd};
}

}  // namespace mellow::orchestrator
