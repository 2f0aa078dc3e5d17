#include "services/learner/rpc/sft_service.h"

#include <string>

#include "common/base/status.h"
#include "common/rpc/status.h"
#include "services/learner/rpc/sft_proto_convert.h"
#include "services/wire/watch_stream.h"

namespace mellow::learner {

grpc::Status SftServiceImpl::CheckSft(grpc::ServerContext* context,
                                      const v1::CheckSftRequest* request, v1::CheckSftResponse*) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const SftPlan plan, PlanFromProto(request->spec()));
    return runner_->Check(plan);
  });
}

grpc::Status SftServiceImpl::StartSft(grpc::ServerContext* context,
                                      const v1::StartSftRequest* request,
                                      v1::StartSftResponse* response) {
  return limiter_->Answer(context, *request, [&] { return StartSftImpl(*request, response); });
}

absl::Status SftServiceImpl::StartSftImpl(const v1::StartSftRequest& request,
                                          v1::StartSftResponse* response) {
  MELLOW_ASSIGN_OR_RETURN(const SftSettings settings, FromProto(request));
  // A caller of before owners names none: it must not become one, for it would not say so again.
  if (!request.owner().empty() || request.owner_epoch() != 0) {
    MELLOW_ASSIGN_OR_RETURN(const int64_t epoch,
                            owner_->Claim(request.owner_epoch(), request.owner()));
    response->set_owner_epoch(epoch);
  }
  MELLOW_ASSIGN_OR_RETURN(const SftStatus status, runner_->Start(settings));
  ToProto(status, response->mutable_run());
  return absl::OkStatus();
}

grpc::Status SftServiceImpl::WatchSft(grpc::ServerContext* context,
                                      const v1::WatchSftRequest* request,
                                      grpc::ServerWriter<v1::WatchSftResponse>* writer) {
  return limiter_->Answer(context, *request, [&] {
    if (const absl::Status owns = owner_->Check(request->owner_epoch()); !owns.ok())
      return rpc::ToGrpcStatus(owns);
    return wire::AnswerWatch<SftSink>(
        &watches_, context, writer, request->after_step(), [&](SftSink* sink) {
          return runner_->Watch(request->run_id(), request->after_step(), sink);
        });
  });
}

void SftServiceImpl::Drain() {
  watches_.CutAll(absl::UnavailableError("this learner is shutting down"));
}

grpc::Status SftServiceImpl::StopSft(grpc::ServerContext* context,
                                     const v1::StopSftRequest* request,
                                     v1::StopSftResponse* response) {
  return limiter_->Answer(context, *request, [&]() -> absl::Status {
    MELLOW_RETURN_IF_ERROR(owner_->Check(request->owner_epoch()));
    MELLOW_ASSIGN_OR_RETURN(const SftStatus status, runner_->Stop(request->run_id()));
    ToProto(status, response->mutable_run());
    return absl::OkStatus();
  });
}

}  // namespace mellow::learner
