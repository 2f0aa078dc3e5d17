#include "services/learner/sft_service.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/status.h"
#include "services/learner/sft_proto_convert.h"

namespace mellow::learner {
namespace {

class StreamSink : public SftSink {
 public:
  StreamSink(rpc::StreamGuard* guard, grpc::ServerContext* context,
             grpc::ServerWriter<v1::WatchSftResponse>* writer)
      : guard_(guard), context_(context), writer_(writer) {}

  bool OnStep(const SftStepRecord& step) override {
    v1::WatchSftResponse response;
    ToProto(step, response.mutable_step());
    return guard_->Write(context_, writer_, response);
  }
  bool OnActivity(const std::string& activity) override {
    v1::WatchSftResponse response;
    response.set_activity(activity);
    return guard_->Write(context_, writer_, response);
  }
  bool OnEnded(const SftStatus& status) override {
    v1::WatchSftResponse response;
    ToProto(status, response.mutable_ended());
    return guard_->Write(context_, writer_, response);
  }
  bool cancelled() const override { return context_->IsCancelled(); }

 private:
  rpc::StreamGuard* const guard_;
  grpc::ServerContext* const context_;
  grpc::ServerWriter<v1::WatchSftResponse>* const writer_;
};

}  // namespace

grpc::Status SftServiceImpl::CheckSft(grpc::ServerContext* context,
                                      const v1::CheckSftRequest* request, v1::CheckSftResponse*) {
  return limiter_->Answer(context, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const SftPlan plan, PlanFromProto(request->spec()));
    return runner_->Check(plan);
  });
}

grpc::Status SftServiceImpl::StartSft(grpc::ServerContext* context,
                                      const v1::StartSftRequest* request,
                                      v1::StartSftResponse* response) {
  return limiter_->Answer(context, [&] { return StartSftImpl(*request, response); });
}

absl::Status SftServiceImpl::StartSftImpl(const v1::StartSftRequest& request,
                                          v1::StartSftResponse* response) {
  MELLOW_ASSIGN_OR_RETURN(const SftSettings settings, FromProto(request));
  MELLOW_ASSIGN_OR_RETURN(const SftStatus status, runner_->Start(settings));
  ToProto(status, response->mutable_run());
  return absl::OkStatus();
}

grpc::Status SftServiceImpl::WatchSft(grpc::ServerContext* context,
                                      const v1::WatchSftRequest* request,
                                      grpc::ServerWriter<v1::WatchSftResponse>* writer) {
  return limiter_->Answer(context, [&]() -> grpc::Status {
    if (request->after_step() < -1) {
      return rpc::ToGrpcStatus(absl::InvalidArgumentError(
          absl::StrCat("after_step: ", request->after_step(), ": must be at least -1")));
    }
    return watches_.During([&] {
      StreamSink sink(&watches_, context, writer);
      return runner_->Watch(request->run_id(), request->after_step(), &sink);
    });
  });
}

void SftServiceImpl::Drain() {
  watches_.CutAll(absl::UnavailableError("this learner is shutting down"));
}

grpc::Status SftServiceImpl::StopSft(grpc::ServerContext* context,
                                     const v1::StopSftRequest* request,
                                     v1::StopSftResponse* response) {
  return limiter_->Answer(context, [&]() -> absl::Status {
    MELLOW_ASSIGN_OR_RETURN(const SftStatus status, runner_->Stop(request->run_id()));
    ToProto(status, response->mutable_run());
    return absl::OkStatus();
  });
}

grpc::Status SftServiceImpl::ListSft(grpc::ServerContext* context, const v1::ListSftRequest*,
                                     grpc::ServerWriter<v1::ListSftResponse>* writer) {
  return limiter_->Answer(context, [&]() -> absl::Status {
    for (const FinishedSft& finished : runner_->Finished()) {
      v1::ListSftResponse response;
      MELLOW_RETURN_IF_ERROR(ToProto(finished, &response));
      if (!watches_.Write(context, writer, response)) break;
    }
    return absl::OkStatus();
  });
}

}  // namespace mellow::learner
