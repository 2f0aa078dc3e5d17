#ifndef MELLOW_SERVICES_POLICY_SUMMARY_CALLS_H_
#define MELLOW_SERVICES_POLICY_SUMMARY_CALLS_H_

#include <memory>

#include "absl/status/status.h"
#include "common/rpc/callback_call.h"
#include "mellow/policy/v1/policy.pb.h"
#include "services/policy/call_parts.h"

namespace mellow::policy {

// Summaries for users. Each has `call` (or the stream) answered later, or returns why not.
[[nodiscard]] absl::Status StartSummarize(const CallParts* parts, rpc::UnaryCall* call,
                                          const v1::SummarizeRequest* request,
                                          v1::SummarizeResponse* response);
using SummaryStream = rpc::PulledStream<v1::SummarizeStreamResponse>;
[[nodiscard]] absl::Status StartSummarizeStream(const CallParts* parts,
                                                const std::shared_ptr<SummaryStream>& stream,
                                                const v1::SummarizeRequest* request);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_SUMMARY_CALLS_H_
