#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REQUEST_BYTES_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REQUEST_BYTES_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/text/tokenizer.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// By the prompts of one of its steps, and responses as long as they may be: what can never be sent
// is told before anything is sampled. Errors of RewardText.
[[nodiscard]] absl::StatusOr<RequestBytes> LargestRequests(const RunConfig& config,
                                                           const text::Tokenizer& tokenizer,
                                                           int32_t decoder_start_token_id,
                                                           absl::Span<const Prompt> prompts);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_REQUEST_BYTES_H_
