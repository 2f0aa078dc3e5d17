#include "services/cli/train/sft_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
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
  v1::StartSftResponse response;
  grpc::ClientContext context;
  rpc::SetTimeout(&context, kCallTimeout);
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::SftService::Stub(channel_).StartSft(&context, request, &response), peer_));
  return std::move(*response.mutable_run());
}

absl::StatusOr<v1::SftRun> SftClient::Stop(const std::string& run_id) {
  v1::StopSftRequest request;
  request.set_run_id(run_id);
  v1::StopSftResponse response;
  grpc::ClientContext context;
  rpc::SetTimeout(&context, kCallTimeout);
  MELLOW_RETURN_IF_ERROR(rpc::FromGrpcStatus(
      v1::SftService::Stub(channel_).StopSft(&context, request, &response), peer_));
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
  v1::SftService::Stub stub(channel_);
  grpc::ClientContext context;
  {
    MutexLock lock(&mutex_);
    if (cancelled_) return absl::CancelledError("watching was cancelled");
    watching_ = &context;
  }
  v1::WatchSftRequest request;
  request.set_run_id(run_id);
  request.set_after_step(after_step);
  const auto reader = stub.WatchSft(&context, request);
  v1::WatchSftResponse event;
  bool ended = false;
  while (reader->Read(&event)) {
    ended = event.has_ended();
    on_event(event);
  }
  const grpc::Status status = reader->Finish();
  bool cancelled;
  {
    MutexLock lock(&mutex_);
    watching_ = nullptr;
    cancelled = cancelled_;
  }
  if (ended) return absl::OkStatus();
  if (cancelled) return absl::CancelledError("watching was cancelled");
  if (status.ok())
    return absl::UnavailableError(
        absl::StrCat(peer_, ": the stream of run ", run_id, " ended before the run"));
  return rpc::FromGrpcStatus(status, peer_);
}

void SftClient::CancelWatch() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
  if (watching_ != nullptr) watching_->TryCancel();
}

}  // namespace mellow::cli
