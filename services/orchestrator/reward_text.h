#ifndef MELLOW_SERVICES_ORCHESTRATOR_REWARD_TEXT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_REWARD_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/text/tokenizer.h"
#include "services/orchestrator/node_clients.h"
#include "services/orchestrator/run_config.h"
#include "services/orchestrator/types.h"

namespace mellow::orchestrator {

// What the reward model reads of a rollout: the template with {query} and {response} decoded. One
// pass: braces in the texts themselves are left alone.
[[nodiscard]] absl::StatusOr<std::string> RewardText(const RewardConfig& config,
                                                     const text::Tokenizer& tokenizer,
                                                     const Rollout& rollout);

// The scores by the run's labels. InvalidArgument: a label that the node does not have (both
// named). Internal: another number of scores than texts, or a score that is not finite.
[[nodiscard]] absl::StatusOr<std::vector<Score>> PickScores(const RewardConfig& config,
                                                            const ScoreAnswer& answer,
                                                            size_t texts);

// InvalidArgument when `label` is not one of `labels`: "reward.label: nothat: the reward node has
// nothate, hate".
[[nodiscard]] absl::StatusOr<size_t> FindLabel(absl::string_view field, const std::string& label,
                                               absl::Span<const std::string> labels);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_REWARD_TEXT_H_
