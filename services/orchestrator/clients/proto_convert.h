#ifndef MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_PROTO_CONVERT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_PROTO_CONVERT_H_

// Messages to the orchestrator's own types and back.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mellow/common/v1/common.pb.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "services/orchestrator/base/promotion.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/run_status.h"
#include "services/orchestrator/base/types.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// Fills in the defaults and validates everything that needs no file: InvalidArgument names the
// field as in the run file ("ppo.mini_batch_size: ...") and its value.
[[nodiscard]] absl::StatusOr<RunConfig> RunConfigFromProto(const v1::RunSpec& spec);
// What a run has whose method is `sft`: the learner's SftSpec, serialized, which the learner
// validates.
// InvalidArgument naming a field that is PPO's.
[[nodiscard]] absl::StatusOr<std::string> SftSpecFromProto(const v1::RunSpec& spec);

[[nodiscard]] absl::StatusOr<NodeReport> NodeReportFromProto(
    const v1::RegisterNodeRequest& request);

// One list per message, in order.
[[nodiscard]] std::vector<std::vector<float>> LogProbsFromProto(
    const google::protobuf::RepeatedPtrField<common::v1::LogProbs>& logprobs);
void ToProto(const TokenPair& pair, common::v1::TokenPair* proto);

[[nodiscard]] AdapterRef AdapterRefFromProto(const common::v1::AdapterRef& proto);
void ToProto(const AdapterRef& ref, common::v1::AdapterRef* proto);
void ToProto(const StepRecord& step, v1::Step* proto);
void ToProto(const RunStatus& run, v1::Run* proto);
void ToProto(const NodeStatus& node, v1::Node* proto);
void ToProto(const PromotionEvent& event, v1::PromotionEvent* proto);
[[nodiscard]] PromotionEvidence EvidenceFromProto(const v1::PromotionEvidence& proto);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_PROTO_CONVERT_H_
