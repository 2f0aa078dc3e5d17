#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REWARD_SCORING_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REWARD_SCORING_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/text/tokenizer.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/rollouts/leased_work.h"

namespace mellow::orchestrator {

// Shards of texts that a reward or judge node gets at once: two keep it busy while the next texts
// are on their way.
inline constexpr int kTextShards = 2;

// RewardText of a run's rollout, which `prompt` was sampled from; errors name it.
[[nodiscard]] absl::StatusOr<std::string> ScoredText(const RunConfig& config,
                                                     const text::Tokenizer& tokenizer,
                                                     int32_t decoder_start_token_id,
                                                     const Prompt& prompt, const Rollout& rollout);

// As the arguments of PickScores.
struct ScoreLabels {
  RewardConfig config;
  std::string field;
};

// The call of a shard of texts to a reward or judge node. `keep` gets one score per text, as
// LeasedWork::Outcome::record. `clients` need not outlive the call.
[[nodiscard]] LeasedWork::Call ScoreTexts(
    NodeClients* clients, const NodeHandle& node, std::vector<std::string> texts,
    ScoreLabels labels, absl::Duration timeout,
    std::function<absl::Status(const std::vector<Score>&)> keep);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REWARD_SCORING_H_
