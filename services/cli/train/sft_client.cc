#include "services/cli/train/sft_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/call.h"
#include "common/rpc/client.h"
#include "common/rpc/status.h"
#include "mellow/learner/v1/sft.grpc.pb.h"

namespace mellow::cli {
namespace {

namespace v1 = learner::v1;

// Starting reads data and weights; stopping waits for the step in progress.
constexpr absl::Duration kCallTimeout = absl::Minutes(20);
constexpr absl::Duration kListTimeout = absl::Minutes(1);

}  // namespace

SftClient::SftClient(std::string address)
    : address_(std::move(address)),
      peer_(absl::StrCat("learner at ", address_)),
      channel_(rpc::MakeChannel(address_)) {}

absl::StatusOr<v1::SftRun> SftClient::Start(const std::string& run_id, const v1::SftSpec& spec) {
  v1::StartSftRequest request;
  request.set_run_id(run_id);
  *request.mutable_spec() = spec;
  MELLOW_ASSIGN_OR_RETURN(
      v1::StartSftResponse response,
      rpc::Call(channel_, peer_, kCallTimeout, &v1::SftService::Stub::StartSft, request));
  return std::move(*response.mutable_run());
}

absl::StatusOr<v1::SftRun> SftClient::Stop(const std::string& run_id) {
  v1::StopSftRequest request;
  request.set_run_id(run_id);
  MELLOW_ASSIGN_OR_RETURN(
      v1::StopSftResponse response,
      rpc::Call(channel_, peer_, kCallTimeout, &v1::SftService::Stub::StopSft, request));
  return std::move(*response.mutable_run());
}

absl::StatusOr<std::vector<v1::ListSftResponse>> SftClient::ListFinished() {
  v1::SftService::Stub stub(channel_);
  grpc::ClientContext context;
  rpc::SetTimeout(&context, kListTimeout);
  const auto reader = stub.ListSft(&context, v1::ListSftRequest());
  std::vector<v1::ListSftResponse> runs;
  for (v1::ListSftResponse run; reader->Read(&run);) runs.push_back(std::move(run));
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(reader->Finish(), peer_));
  return runs;
}

absl::Status SftClient::Watch(const std::string& run_id, int after_step,
                              const std::function<void(const v1::WatchSftResponse&)>& on_event) {
  v1::WatchSftRequest request;
  request.set_run_id(run_id);
  request.set_after_step(after_step);
  return watch_.Follow(channel_, peer_, absl::StrCat("run ", run_id),
                       &v1::SftService::Stub::WatchSft, request, on_event);
}

void SftClient::CancelWatch() { watch_.Cancel(); }

}  // namespace mellow::cli
