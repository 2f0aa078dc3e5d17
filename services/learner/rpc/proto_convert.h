#ifndef MELLOW_SERVICES_LEARNER_RPC_PROTO_CONVERT_H_
#define MELLOW_SERVICES_LEARNER_RPC_PROTO_CONVERT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rl/ppo_trainer.h"
#include "mellow/learner/v1/learner.pb.h"
#include "services/learner/ppo/ppo_session.h"
#include "services/learner/workers/gradient_peer.h"

namespace mellow::learner {

[[nodiscard]] absl::StatusOr<RunSettings> FromProto(const v1::OpenRunRequest& request);
// The numbers of other weights than `current` has are left out: the trainer computes them.
[[nodiscard]] rl::Rollout FromProto(const v1::Rollout& rollout,
                                    const std::string& sampler_precision,
                                    const StepWeights& current);
[[nodiscard]] std::vector<WorkerNode> WorkersFromProto(const v1::TrainRequest& request);
void ToProto(const PpoStepRecord& record, v1::TrainResponse* response);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_PROTO_CONVERT_H_
