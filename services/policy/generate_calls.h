#ifndef MELLOW_SERVICES_POLICY_GENERATE_CALLS_H_
#define MELLOW_SERVICES_POLICY_GENERATE_CALLS_H_

#include <memory>

#include "absl/status/status.h"
#include "common/rpc/callback_call.h"
#include "mellow/policy/v1/policy.pb.h"
#include "services/policy/call_parts.h"

namespace mellow::policy {

// Sequences for whoever knows the model's prompts: rollouts, evaluations, streams of tokens. Each
// has `call` (or the stream) answered later, or returns why not.
[[nodiscard]] absl::Status StartGenerate(const CallParts* parts, rpc::UnaryCall* call,
                                         const v1::GenerateRequest* request,
                                         v1::GenerateResponse* response);
using TokenStream = rpc::PulledStream<v1::GenerateStreamResponse>;
[[nodiscard]] absl::Status StartGenerateStream(const CallParts* parts,
                                               const std::shared_ptr<TokenStream>& stream,
                                               const v1::GenerateStreamRequest* request);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_GENERATE_CALLS_H_
