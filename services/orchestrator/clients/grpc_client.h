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
class LearnerClaim {
 public:
  [[nodiscard]] int64_t epoch() const { return epoch_; }
  // Where two were given at once, because runs of both methods began, the newer one is in force.
  void Take(int64_t given) {
    int64_t known = epoch_;
    while (known < given && !epoch_.compare_exchange_weak(known, given)) {
    }
  }

 private:
  std::atomic<int64_t> epoch_{0};
};
// This process, as the learner names its owner in messages.
[[nodiscard]] std::string OwnerName();
[[nodiscard]] std::shared_ptr<LearnerClient> MakeLearnerClient(
    std::shared_ptr<grpc::Channel> channel, std::string peer, std::shared_ptr<LearnerClaim> claim);
[[nodiscard]] std::shared_ptr<SftClient> MakeSftClient(std::shared_ptr<grpc::Channel> channel,
                                                       std::string peer,
                                                       std::shared_ptr<LearnerClaim> claim);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_GRPC_CLIENT_H_
