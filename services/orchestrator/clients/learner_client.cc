#include <utility>

#include "common/base/status.h"
#include "mellow/learner/v1/learner.grpc.pb.h"
#include "services/orchestrator/clients/grpc_client.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/wire/adapter_stream.h"

namespace mellow::orchestrator {
namespace {

namespace learner_pb = learner::v1;

class GrpcLearnerClient : public LearnerClient {
 public:
  GrpcLearnerClient(std::shared_ptr<grpc::Channel> channel, std::string peer,
                    std::shared_ptr<LearnerClaim> claim)
      : stub_(learner_pb::LearnerService::NewStub(std::move(channel))),
        peer_(std::move(peer)),
        claim_(std::move(claim)) {}

  absl::Status Check(const std::string& ppo, const std::string& start_adapter,
                     std::stop_token stop) override {
    learner_pb::CheckRunRequest request;
    if (!request.mutable_config()->ParseFromString(ppo))
      return absl::InternalError("the run's PPO configuration cannot be read back");
    request.set_start_adapter(start_adapter);
    return Call(stub_.get(), &learner_pb::LearnerService::Stub::CheckRun, request, kShortCall,
                std::move(stop), peer_)
        .status();
  }

  absl::StatusOr<OpenAnswer> OpenRun(const OpenCall& call, std::stop_token stop) override {
    learner_pb::OpenRunRequest request;
    request.set_run_id(call.run_id);
    if (!request.mutable_config()->ParseFromString(call.ppo)) {
      return absl::InternalError("the run's PPO configuration cannot be read back");
    }
    request.set_start_adapter(call.start_adapter);
    request.set_start_version(call.start_version);
    request.set_keep_checkpoints(call.keep_checkpoints);
    if (call.fork) {
      learner_pb::OpenRunRequest::Fork* fork = request.mutable_fork();
      fork->set_run_id(call.fork->run_id);
      fork->set_step(call.fork->step);
      fork->set_after_step(call.fork->after_step);
      fork->set_learning_rate_factor(call.fork->learning_rate_factor);
    }
    request.set_owner(OwnerName());
    request.set_epoch(claim_->epoch());
    MELLOW_ASSIGN_OR_RETURN(learner_pb::OpenRunResponse response,
                            Call(stub_.get(), &learner_pb::LearnerService::Stub::OpenRun, request,
                                 kShortCall, std::move(stop), peer_));
    claim_->Take(response.epoch());
    return OpenAnswer{response.last_step(),
                      AdapterRefFromProto(response.adapter()),
                      {response.trainable_parameters(), response.total_parameters()},
                      response.value_head(),
                      response.adapter_path()};
  }

  absl::StatusOr<TrainAnswer> Train(const TrainCall& call, std::stop_token stop) override {
    learner_pb::TrainRequest request;
    request.set_run_id(call.run_id);
    request.set_step(call.step);
    request.set_new_version(call.new_version);
    request.set_epoch(claim_->epoch());
    request.set_sampler_precision(call.sampler_precision);
    for (const Rollout& rollout : call.rollouts) {
      learner_pb::Rollout* added = request.add_rollouts();
      added->set_prompt_index(rollout.prompt_index);
      added->mutable_query_ids()->Assign(rollout.query_ids.begin(), rollout.query_ids.end());
      added->mutable_response_ids()->Assign(rollout.response_ids.begin(),
                                            rollout.response_ids.end());
      added->mutable_behavior_logprobs()->Assign(rollout.logprobs.begin(), rollout.logprobs.end());
      added->set_score(rollout.score ? rollout.score->score : 0);
      ToProto(rollout.adapter, added->mutable_adapter());
      added->mutable_values()->Assign(rollout.values.begin(), rollout.values.end());
      added->set_value_head_sha256(rollout.value_head_sha256);
      if (rollout.reference_logprobs.empty()) continue;
      added->mutable_reference_logprobs()->Assign(rollout.reference_logprobs.begin(),
                                                  rollout.reference_logprobs.end());
      ToProto(rollout.reference, added->mutable_reference());
    }
    for (const NodeHandle& worker : call.workers) {
      learner_pb::LearnerWorker* added = request.add_workers();
      added->set_node_id(worker.node_id);
      added->set_address(worker.address);
      added->set_incarnation(worker.incarnation);
      added->set_device(worker.device);
    }
    // A step may take hours on a CPU: the node's heartbeats say whether it still works on it.
    MELLOW_ASSIGN_OR_RETURN(learner_pb::TrainResponse response,
                            Call(stub_.get(), &learner_pb::LearnerService::Stub::Train, request,
                                 absl::InfiniteDuration(), std::move(stop), peer_));
    return TrainAnswer{AdapterRefFromProto(response.adapter()),
                       response.adapter_path(),
                       {response.stats().begin(), response.stats().end()},
                       response.seconds(),
                       response.replayed(),
                       response.value_head()};
  }

  absl::StatusOr<AdapterAnswer> GetAdapter(const std::string& run_id, int64_t version,
                                           std::stop_token stop) override {
    learner_pb::GetAdapterRequest request;
    request.set_run_id(run_id);
    request.set_version(version);
    request.set_epoch(claim_->epoch());
    CallContext context(kShortCall, std::move(stop));
    auto reader = stub_->GetAdapter(context.get(), request);
    bool ended = false;
    absl::StatusOr<wire::ReceivedAdapter> received = wire::ReceiveAdapter(
        [&](common::v1::AdapterChunk* chunk) {
          ended = !reader->Read(chunk);
          return !ended;
        },
        wire::kMaxAdapterBytes);
    if (!ended) context.get()->TryCancel();
    const grpc::Status status = reader->Finish();
    // A stream that ended by itself, however early, is judged by its status: the peer was lost, or
    // given up by us. Only one that we ended for what it said is judged by what it said.
    if (!status.ok() && ended) return context.Translate(status, peer_);
    if (!received.ok()) return Annotate(received.status(), peer_);
    return AdapterAnswer{AdapterRefFromProto(received->ref), std::move(received->files)};
  }

  absl::StatusOr<PairScores> ScoreTokens(const std::string& run_id,
                                         absl::Span<const TokenPair> pairs, bool reference,
                                         std::stop_token stop) override {
    learner_pb::ScoreTokensRequest request;
    request.set_run_id(run_id);
    for (const TokenPair& pair : pairs) ToProto(pair, request.add_pairs());
    request.set_reference(reference);
    request.set_epoch(claim_->epoch());
    MELLOW_ASSIGN_OR_RETURN(learner_pb::ScoreTokensResponse response,
                            Call(stub_.get(), &learner_pb::LearnerService::Stub::ScoreTokens,
                                 request, kShortCall, std::move(stop), peer_));
    PairScores scores{LogProbsFromProto(response.logprobs()),
                      AdapterRefFromProto(response.adapter())};
    for (const learner_pb::Values& row : response.values())
      scores.values.emplace_back(row.values().begin(), row.values().end());
    return scores;
  }

 private:
  std::unique_ptr<learner_pb::LearnerService::Stub> stub_;
  std::string peer_;
  std::shared_ptr<LearnerClaim> claim_;
};

}  // namespace

std::shared_ptr<LearnerClient> MakeLearnerClient(std::shared_ptr<grpc::Channel> channel,
                                                 std::string peer,
                                                 std::shared_ptr<LearnerClaim> claim) {
  return std::make_shared<GrpcLearnerClient>(std::move(channel), std::move(peer), std::move(claim));
}

}  // namespace mellow::orchestrator
