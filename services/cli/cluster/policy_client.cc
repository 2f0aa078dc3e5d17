#include "services/cli/cluster/policy_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "mellow/policy/v1/policy.grpc.pb.h"

namespace mellow::cli {

namespace v1 = policy::v1;

PolicyClient::PolicyClient(const std::string& address)
    : peer_(absl::StrCat("policy at ", address)), channel_(rpc::MakeChannel(address)) {}

absl::StatusOr<v1::SummarizeResponse> PolicyClient::Summarize(const v1::SummarizeRequest& request,
                                                              absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::SummarizeResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::PolicyService::NewStub(channel_)->Summarize(&context, request, &response), peer_));
  return response;
}

absl::StatusOr<v1::GenerateResponse> PolicyClient::Generate(const v1::GenerateRequest& request,
                                                            absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::GenerateResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::PolicyService::NewStub(channel_)->Generate(&context, request, &response), peer_));
  return response;
}

absl::StatusOr<v1::ScoreTokensResponse> PolicyClient::ScoreTokens(
    const v1::ScoreTokensRequest& request, absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::ScoreTokensResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::PolicyService::NewStub(channel_)->ScoreTokens(&context, request, &response), peer_));
  return response;
}

absl::StatusOr<v1::GetInfoResponse> PolicyClient::GetInfo(absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::GetInfoResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::PolicyService::NewStub(channel_)->GetInfo(&context, v1::GetInfoRequest(), &response),
      peer_));
  return response;
}

absl::StatusOr<v1::ListAdaptersResponse> PolicyClient::ListAdapters(absl::Duration timeout) const {
  grpc::ClientContext context;
  rpc::SetTimeout(&context, timeout);
  v1::ListAdaptersResponse response;
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(v1::PolicyService::NewStub(channel_)->ListAdapters(
                                                 &context, v1::ListAdaptersRequest(), &response),
                                             peer_));
  return response;
}

}  // namespace mellow::cli
