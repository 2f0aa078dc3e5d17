#ifndef MELLOW_SERVICES_POLICY_SCORE_CALLS_H_
#define MELLOW_SERVICES_POLICY_SCORE_CALLS_H_

#include "absl/status/status.h"
#include "common/rpc/callback_call.h"
#include "mellow/policy/v1/policy.pb.h"
#include "services/policy/call_parts.h"

namespace mellow::policy {

// Log-probs of given targets. Has `call` answered later, or returns why not.
[[nodiscard]] absl::Status StartScoreTokens(const CallParts* parts, rpc::UnaryCall* call,
                                            const v1::ScoreTokensRequest* request,
                                            v1::ScoreTokensResponse* response);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_SCORE_CALLS_H_
