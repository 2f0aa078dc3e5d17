#ifndef MELLOW_SERVICES_ORCHESTRATOR_GRPC_CLIENT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_GRPC_CLIENT_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "services/orchestrator/node_clients.h"

namespace mellow::orchestrator {

// The clients over gRPC. Channels are kept per address.
[[nodiscard]] std::unique_ptr<NodeClients> MakeGrpcNodeClients();

// Over a given channel (an in-process one, in tests); `peer` is for messages.
[[nodiscard]] std::shared_ptr<PolicyClient> MakePolicyClient(std::shared_ptr<grpc::Channel> channel,
                                                             std::string peer);
[[nodiscard]] std::shared_ptr<RewardClient> MakeRewardClient(std::shared_ptr<grpc::Channel> channel,
                                                             std::string peer);
[[nodiscard]] std::shared_ptr<LearnerClient> MakeLearnerClient(
    std::shared_ptr<grpc::Channel> channel, std::string peer);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_GRPC_CLIENT_H_
