#include <utility>

#include "common/base/status.h"
#include "mellow/learner/v1/sft.grpc.pb.h"
#include "services/orchestrator/clients/grpc_client.h"

namespace mellow::orchestrator {
namespace {

namespace learner_pb = learner::v1;

// Reading data and weights, and a step of many batches, may take that long on a CPU.
constexpr absl::Duration kLongCall = absl::Minutes(20);

SftState StateFromProto(learner_pb::SftState state) {
  switch (state) {
    case learner_pb::SFT_STATE_DONE:
      return SftState::kDone;
    case learner_pb::SFT_STATE_STOPPED:
      return SftState::kStopped;
    case learner_pb::SFT_STATE_FAILED:
      return SftState::kFailed;
    default:
      return SftState::kRunning;
  }
}

SftAnswer AnswerFromProto(learner_pb::SftRun run) {
  // The codes of google.rpc are absl's.
  SftAnswer answer{.state = StateFromProto(run.state()),
                   .error = run.error(),
                   .code = static_cast<absl::StatusCode>(run.status_code())};
  run.clear_run_id();
  run.clear_state();
  run.clear_error();
  run.clear_status_code();
  run.clear_step();
  answer.run = run.SerializeAsString();
  return answer;
}

StepRecord StepFromProto(const learner_pb::SftStep& step) {
  return {.step = step.step(), .seconds = step.seconds(), .sft = step.SerializeAsString()};
}

absl::Status ReadSpec(const std::string& bytes, learner_pb::SftSpec* spec) {
  if (spec->ParseFromString(bytes)) return absl::OkStatus();
  return absl::InternalError("the run's settings cannot be read back");
}

class GrpcSftClient : public SftClient {
 public:
  GrpcSftClient(std::shared_ptr<grpc::Channel> channel, std::string peer,
                std::shared_ptr<LearnerClaim> claim)
      : stub_(learner_pb::SftService::NewStub(std::move(channel))),
        peer_(std::move(peer)),
        claim_(std::move(claim)) {}

  absl::Status Check(const std::string& spec, std::stop_token stop) override {
    learner_pb::CheckSftRequest request;
    MELLOW_RETURN_IF_ERROR(ReadSpec(spec, request.mutable_spec()));
    return Call(stub_.get(), &learner_pb::SftService::Stub::CheckSft, request, kLongCall,
                std::move(stop), peer_)
        .status();
  }

  absl::StatusOr<SftAnswer> Start(const SftCall& call, std::stop_token stop) override {
    learner_pb::StartSftRequest request;
    request.set_run_id(call.run_id);
    MELLOW_RETURN_IF_ERROR(ReadSpec(call.spec, request.mutable_spec()));
    request.set_owner(OwnerName());
    request.set_owner_epoch(claim_->epoch());
    MELLOW_ASSIGN_OR_RETURN(learner_pb::StartSftResponse response,
                            Call(stub_.get(), &learner_pb::SftService::Stub::StartSft, request,
                                 kLongCall, std::move(stop), peer_));
    claim_->Take(response.owner_epoch());
    return AnswerFromProto(std::move(*response.mutable_run()));
  }

  absl::StatusOr<SftAnswer> Watch(const std::string& run_id, int after_step,
                                  const SftListener& listener, std::stop_token stop) override {
    learner_pb::WatchSftRequest request;
    request.set_run_id(run_id);
    request.set_after_step(after_step);
    request.set_owner_epoch(claim_->epoch());
    // As long as the run: the node's heartbeats say whether the learner still works.
    CallContext context(absl::InfiniteDuration(), std::move(stop));
    const auto reader = stub_->WatchSft(context.get(), request);
    SftAnswer ended;
    absl::Status heard;
    for (learner_pb::WatchSftResponse event; heard.ok() && reader->Read(&event);) {
      if (event.has_step()) heard = listener.on_step(StepFromProto(event.step()));
      if (event.has_ended()) ended = AnswerFromProto(std::move(*event.mutable_ended()));
      if (!event.activity().empty()) listener.on_activity(event.activity());
    }
    if (!heard.ok()) context.get()->TryCancel();
    const grpc::Status status = reader->Finish();
    MELLOW_RETURN_IF_ERROR(heard);
    MELLOW_RETURN_IF_ERROR(context.Translate(status, peer_));
    if (ended.state == SftState::kRunning)
      return absl::UnavailableError(peer_ + ": the watch ended before the run");
    return ended;
  }

  absl::StatusOr<SftAnswer> Stop(const std::string& run_id, std::stop_token stop) override {
    learner_pb::StopSftRequest request;
    request.set_run_id(run_id);
    request.set_owner_epoch(claim_->epoch());
    MELLOW_ASSIGN_OR_RETURN(learner_pb::StopSftResponse response,
                            Call(stub_.get(), &learner_pb::SftService::Stub::StopSft, request,
                                 kLongCall, std::move(stop), peer_));
    return AnswerFromProto(std::move(*response.mutable_run()));
  }

 private:
  std::unique_ptr<learner_pb::SftService::Stub> stub_;
  std::string peer_;
  std::shared_ptr<LearnerClaim> claim_;
};

}  // namespace

std::shared_ptr<SftClient> MakeSftClient(std::shared_ptr<grpc::Channel> channel, std::string peer,
                                         std::shared_ptr<LearnerClaim> claim) {
  return std::make_shared<GrpcSftClient>(std::move(channel), std::move(peer), std::move(claim));
}

}  // namespace mellow::orchestrator
