#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REWARD_TEXT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REWARD_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/text/tokenizer.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/types.h"
#include "services/orchestrator/nodes/node_clients.h"

namespace mellow::orchestrator {

// What the reward model reads of a rollout: the template with {query} and {response} decoded. One
// pass: braces in the texts themselves are left alone. With keep_special_tokens the response is
// what TRL's notebooks cut out of the output of generate(): its last `max_new_tokens` ids, so the
// decoder's start token belongs to it unless the response fills its limit. No limit here: one that
// did not end by itself fills it.
[[nodiscard]] absl::StatusOr<std::string> RewardText(const RewardConfig& config,
                                                     const text::Tokenizer& tokenizer,
                                                     int32_t decoder_start_token_id,
                                                     const Rollout& rollout,
                                                     std::optional<int> max_new_tokens);

// The scores by the run's labels, which are fields of `field` ("reward") in the run file.
// InvalidArgument: a label that the node does not have (both named). Internal: another number of
// scores than texts, or a score that is not finite.
[[nodiscard]] absl::StatusOr<std::vector<Score>> PickScores(const RewardConfig& config,
                                                            const ScoreAnswer& answer, size_t texts,
                                                            absl::string_view field);

// InvalidArgument when `label` is not one of `labels`: "reward.label: nothat: the reward node has
// nothate, hate".
[[nodiscard]] absl::StatusOr<size_t> FindLabel(absl::string_view field, const std::string& label,
                                               absl::Span<const std::string> labels);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REWARD_TEXT_H_
