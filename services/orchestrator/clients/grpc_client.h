#ifndef MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_GRPC_CLIENT_H_
#define MELLOW_SERVICES_ORCHESTRATOR_CLIENTS_GRPC_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "services/orchestrator/nodes/node_clients.h"

namespace mellow::orchestrator {

// Calls that are expected within seconds get this long, so that a peer that hangs is noticed.
inline constexpr absl::Duration kShortCall = absl::Minutes(2);

// A ClientContext with a deadline that is cancelled when a token stops. One call each.
class CallContext {
 public:
  CallContext(absl::Duration timeout, std::stop_token stop)
      : stop_(stop), on_stop_(std::move(stop), [this] { context_.TryCancel(); }) {
    if (timeout < absl::InfiniteDuration()) rpc::SetTimeout(&context_, timeout);
  }
  grpc::ClientContext* get() { return &context_; }
  // The call's status. Unavailable when the token's stop ended it, whatever gRPC makes of that: it
  // was not the peer's fault.
  [[nodiscard]] absl::Status Translate(const grpc::Status& status, absl::string_view peer) const {
    if (status.error_code() == grpc::StatusCode::CANCELLED && stop_.stop_requested())
      return absl::UnavailableError(absl::StrCat(
          peer, ": given up from here: the node was lost or late, or the work is to stop"));
    return rpc::FromGrpcStatus(status, peer);
  }

 private:
  grpc::ClientContext context_;
  const std::stop_token stop_;
  std::stop_callback<std::function<void()>> on_stop_;
};

// One unary call: Call(stub, &Stub::Train, request, timeout, stop, peer).
template <typename Stub, typename Request, typename Response>
[[nodiscard]] absl::StatusOr<Response> Call(
    Stub* stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const Request& request, absl::Duration timeout, std::stop_token stop, absl::string_view peer) {
  CallContext context(timeout, std::move(stop));
  Response response;
  MELLOW_RETURN_IF_ERROR(
      context.Translate((stub->*method)(context.get(), request, &response), peer));
  return response;
}

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
