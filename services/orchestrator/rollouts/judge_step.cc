#include "services/orchestrator/rollouts/judge_step.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/stats/mean.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/rollouts/leased_work.h"
#include "services/orchestrator/rollouts/reward_scoring.h"

namespace mellow::orchestrator {
namespace {

// All state belongs to the thread that calls Run, as a collector's does.
class Judging {
 public:
  Judging(const CollectorParts& parts, const RunConfig& config, int step,
          std::vector<std::string> texts)
      : parts_(parts),
        config_(config),
        doing_(absl::StrCat("step ", step, ": judge")),
        texts_(std::move(texts)),
        logits_(texts_.size()),
        work_(
            NodeRole::kJudge, doing_,
            {parts.registry, parts.metrics, &mailbox_, parts.signals.shutdown},
            ShardScheduler(Work(), config.lease), [](const NodeHandle&) { return kTextShards; },
            [this](int shard, const NodeHandle& node) { return Score(shard, node); }) {}

  // The score of each text.
  absl::StatusOr<std::vector<double>> Run() {
    const NodeRegistry::Subscription subscription(parts_.registry, [this] { mailbox_.Wake(); });
    const std::stop_callback on_stop(parts_.signals.stop, [this] { mailbox_.Wake(); });
    const std::stop_callback on_shutdown(parts_.signals.shutdown, [this] { mailbox_.Wake(); });
    while (true) {
      const bool stopping =
          parts_.signals.stop.stop_requested() || parts_.signals.shutdown.stop_requested();
      const SteadyTime now = SteadyTime::Now();
      work_.Advance(now, stopping);
      MELLOW_RETURN_IF_ERROR(work_.failure());
      if (work_.remaining() == 0) return std::move(logits_);
      // Nothing of it is recorded, so nobody needs what was begun.
      if (stopping) return AskedToStop();
      const std::string waits = work_.WaitsFor();
      parts_.observer->OnActivity(absl::StrCat(doing_, " ", ShardCount() - work_.remaining(), "/",
                                               ShardCount(), waits.empty() ? "" : "; ", waits));
      mailbox_.RunUntil(work_.NextEvent(now));
    }
  }

 private:
  int ShardCount() const {
    return (static_cast<int>(texts_.size()) + config_.shard_prompts - 1) / config_.shard_prompts;
  }
  // [first, last) of the texts.
  std::pair<size_t, size_t> Range(int shard) const {
    const size_t first = static_cast<size_t>(shard) * config_.shard_prompts;
    return {first, std::min(first + config_.shard_prompts, texts_.size())};
  }
  std::vector<double> Work() const {
    std::vector<double> work;
    for (int shard = 0; shard < ShardCount(); ++shard)
      work.push_back(static_cast<double>(Range(shard).second - Range(shard).first));
    return work;
  }
  LeasedWork::Call Score(int shard, const NodeHandle& node) {
    const auto [first, last] = Range(shard);
    const std::string& label = config_.guard->judge->label;
    return ScoreTexts(
        parts_.clients, node,
        {texts_.begin() + static_cast<ptrdiff_t>(first),
         texts_.begin() + static_cast<ptrdiff_t>(last)},
        {RewardConfig{.label = label.empty() ? config_.reward.label : label}, "guard.judge"},
        config_.lease * LeasedWork::kCallLeases, [this, first = first](const auto& scores) {
          for (size_t i = 0; i < scores.size(); ++i) logits_[first + i] = scores[i].score;
          return absl::OkStatus();
        });
  }

  const CollectorParts& parts_;
  const RunConfig& config_;
  const std::string doing_;
  const std::vector<std::string> texts_;
  std::vector<double> logits_;
  Mailbox mailbox_;
  LeasedWork work_;
};

}  // namespace

std::vector<size_t> JudgedPositions(size_t rollouts, double share) {
  const auto count = std::clamp<size_t>(
      static_cast<size_t>(std::llround(share * static_cast<double>(rollouts))), 1, rollouts);
  std::vector<size_t> positions;
  for (size_t i = 0; i < count; ++i) positions.push_back(i * rollouts / count);
  return positions;
}

absl::StatusOr<JudgeFigures> JudgeStep(const CollectorParts& parts, const RunConfig& config,
                                       int step, absl::Span<const Prompt> prompts,
                                       absl::Span<const Rollout> rollouts) {
  std::vector<std::string> texts;
  for (const size_t i : JudgedPositions(rollouts.size(), config.guard->judge->share)) {
    MELLOW_ASSIGN_OR_RETURN(std::string text,
                            ScoredText(config, *parts.tokenizer, parts.decoder_start_token_id,
                                       prompts[i], rollouts[i]));
    texts.push_back(std::move(text));
  }
  MELLOW_ASSIGN_OR_RETURN(const std::vector<double> logits,
                          Judging(parts, config, step, std::move(texts)).Run());
  const stats::MeanSd scores = stats::MeanAndSd(logits);
  return JudgeFigures{.score_mean = scores.mean, .score_sd = scores.sd};
}

}  // namespace mellow::orchestrator
