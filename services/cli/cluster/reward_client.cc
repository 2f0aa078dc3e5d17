#include "services/cli/cluster/reward_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "mellow/reward/v1/reward.grpc.pb.h"

namespace mellow::cli {

namespace v1 = reward::v1;

RewardClient::RewardClient(const std::string& address)
    : peer_(absl::StrCat("reward at ", address)), channel_(rpc::MakeChannel(address)) {}

absl::StatusOr<v1::ScoreResponse> RewardClient::Score(const v1::ScoreRequest& request,
                                                      absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::ScoreResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::RewardService::NewStub(channel_)->Score(&context, request, &response), peer_));
  return response;
}

absl::StatusOr<v1::GetInfoResponse> RewardClient::GetInfo(absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::GetInfoResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::RewardService::NewStub(channel_)->GetInfo(&context, v1::GetInfoRequest(), &response),
      peer_));
  return response;
}

}  // namespace mellow::cli
