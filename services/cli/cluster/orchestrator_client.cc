#include "services/cli/cluster/orchestrator_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/call.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "mellow/orchestrator/v1/orchestrator.grpc.pb.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/wire/adapter_stream.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

constexpr absl::Duration kCallTimeout = absl::Seconds(30);
// Starting reads the data, and of a supervised run the learner reads the weights.
constexpr absl::Duration kStartTimeout = absl::Minutes(20);
// Stopping waits for the phase in progress.
constexpr absl::Duration kStopTimeout = absl::Minutes(10);
// Sends an adapter, and waits until the nodes have it.
constexpr absl::Duration kPromoteTimeout = absl::Minutes(5);

using Stub = v1::OrchestratorService::Stub;

}  // namespace

OrchestratorClient::OrchestratorClient(std::string address)
    : address_(std::move(address)),
      peer_(absl::StrCat("orchestrator at ", address_)),
      channel_(rpc::MakeChannel(address_)) {}

absl::StatusOr<std::unique_ptr<OrchestratorClient>> ConnectOrchestrator(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> found,
                          ServicesOfRole(folder, "orchestrator"));
  return std::make_unique<OrchestratorClient>(found[0].address);
}

absl::StatusOr<std::string> OrchestratorClient::StartRun(const v1::RunSpec& spec,
                                                         const std::string& request_id) {
  v1::StartRunRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  MELLOW_ASSIGN_OR_RETURN(const v1::StartRunResponse response,
                          rpc::Call(channel_, peer_, kStartTimeout, &Stub::StartRun, request));
  return response.run_id();
}

absl::StatusOr<v1::Run> OrchestratorClient::GetRun(const std::string& run_id) {
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  MELLOW_ASSIGN_OR_RETURN(v1::GetRunResponse response,
                          rpc::Call(channel_, peer_, kCallTimeout, &Stub::GetRun, request));
  return std::move(*response.mutable_run());
}

absl::StatusOr<v1::Run> OrchestratorClient::StopRun(const std::string& run_id) {
  v1::StopRunRequest request;
  request.set_run_id(run_id);
  MELLOW_ASSIGN_OR_RETURN(v1::StopRunResponse response,
                          rpc::Call(channel_, peer_, kStopTimeout, &Stub::StopRun, request));
  return std::move(*response.mutable_run());
}

absl::StatusOr<v1::Run> OrchestratorClient::ResumeRun(const std::string& run_id) {
  v1::ResumeRunRequest request;
  request.set_run_id(run_id);
  MELLOW_ASSIGN_OR_RETURN(v1::ResumeRunResponse response,
                          rpc::Call(channel_, peer_, kCallTimeout, &Stub::ResumeRun, request));
  return std::move(*response.mutable_run());
}

absl::StatusOr<std::vector<v1::Node>> OrchestratorClient::ListNodes() {
  MELLOW_ASSIGN_OR_RETURN(
      const v1::ListNodesResponse response,
      rpc::Call(channel_, peer_, kCallTimeout, &Stub::ListNodes, v1::ListNodesRequest()));
  return std::vector<v1::Node>(response.nodes().begin(), response.nodes().end());
}

absl::StatusOr<std::vector<v1::Run>> OrchestratorClient::ListRuns() {
  MELLOW_ASSIGN_OR_RETURN(
      const v1::ListRunsResponse response,
      rpc::Call(channel_, peer_, kCallTimeout, &Stub::ListRuns, v1::ListRunsRequest()));
  return std::vector<v1::Run>(response.runs().begin(), response.runs().end());
}

absl::StatusOr<v1::PromotionEvent> OrchestratorClient::PromoteAdapter(
    const v1::PromoteAdapterRequest::Order& order, const adapters::PeftFiles* files) {
  Stub stub(channel_);
  grpc::ClientContext context;
  rpc::SetTimeout(&context, kPromoteTimeout);
  v1::PromoteAdapterResponse response;
  const auto writer = stub.PromoteAdapter(&context, &response);
  v1::PromoteAdapterRequest request;
  *request.mutable_order() = order;
  absl::Status sent = writer->Write(request)
                          ? absl::OkStatus()
                          : absl::UnavailableError(absl::StrCat(peer_, ": closed the stream"));
  if (sent.ok() && files != nullptr) {
    sent = wire::SendAdapter(order.adapter(), *files, [&](const common::v1::AdapterChunk& chunk) {
      *request.mutable_chunk() = chunk;
      return writer->Write(request);
    });
  }
  if (sent.ok()) writer->WritesDone();
  // When the peer ended the stream, its status says why.
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(writer->Finish(), peer_));
  MELLOW_RETURN_IF_ERROR(sent);
  return std::move(*response.mutable_event());
}

absl::StatusOr<v1::PromotionEvent> OrchestratorClient::RollBackChampion(
    const std::string& request_id, const std::string& reason) {
  v1::RollBackChampionRequest request;
  request.set_request_id(request_id);
  request.set_reason(reason);
  MELLOW_ASSIGN_OR_RETURN(
      v1::RollBackChampionResponse response,
      rpc::Call(channel_, peer_, kPromoteTimeout, &Stub::RollBackChampion, request));
  return std::move(*response.mutable_event());
}

absl::StatusOr<v1::ListPromotionsResponse> OrchestratorClient::ListPromotions() {
  return rpc::Call(channel_, peer_, kCallTimeout, &Stub::ListPromotions,
                   v1::ListPromotionsRequest());
}

absl::StatusOr<std::vector<v1::KeptAdapter>> OrchestratorClient::ListKeptAdapters() {
  MELLOW_ASSIGN_OR_RETURN(const v1::ListKeptAdaptersResponse response,
                          rpc::Call(channel_, peer_, kCallTimeout, &Stub::ListKeptAdapters,
                                    v1::ListKeptAdaptersRequest()));
  return std::vector<v1::KeptAdapter>(response.adapters().begin(), response.adapters().end());
}

absl::Status OrchestratorClient::LoadAdapter(int64_t version) {
  v1::LoadAdapterRequest request;
  request.set_version(version);
  return rpc::Call(channel_, peer_, kPromoteTimeout, &Stub::LoadAdapter, request).status();
}

absl::Status OrchestratorClient::WatchRun(
    const std::string& run_id, int after_step,
    const std::function<void(const v1::WatchRunResponse&)>& on_event) {
  v1::WatchRunRequest request;
  request.set_run_id(run_id);
  request.set_after_step(after_step);
  return watch_.Follow(channel_, peer_, absl::StrCat("run ", run_id), &Stub::WatchRun, request,
                       on_event);
}

void OrchestratorClient::CancelWatch() { watch_.Cancel(); }

}  // namespace mellow::cli
