#ifndef MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_GRPC_CLIENT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_GRPC_CLIENT_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/status.h"
#include "common/rpc/call_context.h"
#include "services/orchestrator/nodes/node_clients.h"

namespace mellow::orchestrator {

// Calls that are expected within seconds get this long, so that a peer that hangs is noticed.
inline constexpr absl::Duration kShortCall = absl::Minutes(2);

using rpc::Call;
using rpc::CallContext;

// The clients over gRPC. Channels are kept per address.
[[nodiscard]] std::unique_ptr<NodeClients> MakeGrpcNodeClients();

// Over a given channel (an in-process one, in tests); `peer` is for messages.
[[nodiscard]] std::shared_ptr<PolicyClient> MakePolicyClient(std::shared_ptr<grpc::Channel> channel,
                                                             std::string peer);
[[nodiscard]] std::shared_ptr<RewardClient> MakeRewardClient(std::shared_ptr<grpc::Channel> channel,
                                                             std::string peer);
// What the learner gave this process when it became its owner (OpenRunRequest.epoch); shared by all
// clients of this process. Thread-safe.
struct LearnerClaim {
  std::atomic<int64_t> epoch{0};
};
[[nodiscard]] std::shared_ptr<LearnerClient> MakeLearnerClient(
    std::shared_ptr<grpc::Channel> channel, std::string peer, std::shared_ptr<LearnerClaim> claim);
[[nodiscard]] std::shared_ptr<SftClient> MakeSftClient(std::shared_ptr<grpc::Channel> channel,
                                                       std::string peer);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_GRPC_CLIENT_H_
