#ifndef MELLOW_SERVICES_LEARNER_RPC_SFT_PROTO_CONVERT_H_
#define MELLOW_SERVICES_LEARNER_RPC_SFT_PROTO_CONVERT_H_

#include "absl/status/statusor.h"
#include "mellow/learner/v1/sft.pb.h"
#include "services/learner/sft/sft_runner.h"

namespace mellow::learner {

// InvalidArgument naming field and value; do not look at files.
[[nodiscard]] absl::StatusOr<SftPlan> PlanFromProto(const v1::SftSpec& spec);
[[nodiscard]] absl::StatusOr<SftSettings> FromProto(const v1::StartSftRequest& request);
void ToProto(const SftStatus& status, v1::SftRun* run);
void ToProto(const SftStepRecord& record, v1::SftStep* step);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_SFT_PROTO_CONVERT_H_
