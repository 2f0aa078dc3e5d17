#ifndef MELLOW_TESTS_SERVICES_ORCHESTRATOR_FAKE_SERVICES_H_
#define MELLOW_TESTS_SERVICES_ORCHESTRATOR_FAKE_SERVICES_H_

// The fake nodes behind their real rpcs.

#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/status.h"
#include "mellow/learner/v1/learner.grpc.pb.h"
#include "mellow/learner/v1/sft.grpc.pb.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "mellow/reward/v1/reward.grpc.pb.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/wire/adapter_stream.h"
#include "tests/services/orchestrator/fake_nodes.h"

namespace mellow::orchestrator {

inline std::vector<TokenPair> PairsFromProto(
    const google::protobuf::RepeatedPtrField<common::v1::TokenPair>& pairs) {
  std::vector<TokenPair> result;
  for (const auto& pair : pairs) {
    result.push_back({{pair.source_ids().begin(), pair.source_ids().end()},
                      {pair.target_ids().begin(), pair.target_ids().end()}});
  }
  return result;
}

template <typename Response>
grpc::Status AnswerScores(const absl::StatusOr<PairScores>& scores, Response* response) {
  if (!scores.ok()) return rpc::ToGrpcStatus(scores.status());
  for (const auto& list : scores->logprobs) {
    response->add_logprobs()->mutable_values()->Assign(list.begin(), list.end());
  }
  ToProto(scores->adapter, response->mutable_adapter());
  return grpc::Status::OK;
}

class FakePolicyService : public policy::v1::PolicyService::Service {
 public:
  explicit FakePolicyService(FakePolicy* node) : node_(node) {}

  grpc::Status Generate(grpc::ServerContext*, const policy::v1::GenerateRequest* request,
                        policy::v1::GenerateResponse* response) override {
    GenerateCall call{.seed = request->sampling().seed(),
                      .adapter_version = request->adapter_version(),
                      .value_head = request->value_head()};
    for (const auto& prompt : request->prompts()) {
      call.prompts.push_back({prompt.prompt_index(),
                              {prompt.tokens().ids().begin(), prompt.tokens().ids().end()},
                              prompt.has_max_new_tokens() ? prompt.max_new_tokens()
                                                          : request->sampling().max_new_tokens()});
    }
    last_lane = request->lane();
    const auto answer = node_->Generate(call, std::stop_token());
    if (!answer.ok()) return rpc::ToGrpcStatus(answer.status());
    for (const Generation& generation : answer->generations) {
      policy::v1::Generation* added = response->add_generations();
      added->mutable_ids()->Assign(generation.ids.begin(), generation.ids.end());
      added->mutable_logprobs()->Assign(generation.logprobs.begin(), generation.logprobs.end());
      added->mutable_values()->Assign(generation.values.begin(), generation.values.end());
      added->set_finish_reason(policy::v1::FINISH_REASON_EOS);
    }
    ToProto(answer->adapter, response->mutable_adapter());
    return grpc::Status::OK;
  }
  grpc::Status ScoreTokens(grpc::ServerContext*, const policy::v1::ScoreTokensRequest* request,
                           policy::v1::ScoreTokensResponse* response) override {
    return AnswerScores(
        node_->ScoreTokens(PairsFromProto(request->pairs()), request->adapter_version()), response);
  }
  grpc::Status PublishAdapter(grpc::ServerContext*,
                              grpc::ServerReader<common::v1::AdapterChunk>* reader,
                              policy::v1::PublishAdapterResponse*) override {
    auto received = wire::ReceiveAdapter(
        [&](common::v1::AdapterChunk* chunk) { return reader->Read(chunk); }, 1 << 20);
    if (!received.ok()) return rpc::ToGrpcStatus(received.status());
    return rpc::ToGrpcStatus(
        node_->PublishAdapter(AdapterRefFromProto(received->ref), received->files, received->as));
  }

  std::atomic<int> last_lane{0};

 private:
  FakePolicy* node_;
};

class FakeRewardService : public reward::v1::RewardService::Service {
 public:
  explicit FakeRewardService(FakeReward* node) : node_(node) {}

  grpc::Status Score(grpc::ServerContext*, const reward::v1::ScoreRequest* request,
                     reward::v1::ScoreResponse* response) override {
    const auto answer =
        node_->Score({request->texts().begin(), request->texts().end()}, std::stop_token());
    if (!answer.ok()) return rpc::ToGrpcStatus(answer.status());
    for (const TextScore& score : answer->scores) {
      reward::v1::TextScore* added = response->add_scores();
      added->mutable_logits()->Assign(score.logits.begin(), score.logits.end());
      added->mutable_probabilities()->Assign(score.probabilities.begin(),
                                             score.probabilities.end());
      added->set_toxicity(score.toxicity);
    }
    for (const std::string& label : answer->labels) response->add_labels(label);
    return grpc::Status::OK;
  }
  grpc::Status GetInfo(grpc::ServerContext*, const reward::v1::GetInfoRequest*,
                       reward::v1::GetInfoResponse* response) override {
    response->add_labels("nothate");
    response->add_labels("hate");
    return grpc::Status::OK;
  }

 private:
  FakeReward* node_;
};

class FakeLearnerService : public learner::v1::LearnerService::Service {
 public:
  explicit FakeLearnerService(FakeLearner* node) : node_(node) {}

  grpc::Status OpenRun(grpc::ServerContext*, const learner::v1::OpenRunRequest* request,
                       learner::v1::OpenRunResponse* response) override {
    OpenCall call{.run_id = request->run_id(),
                  .ppo = request->config().SerializeAsString(),
                  .start_adapter = request->start_adapter(),
                  .start_version = request->start_version(),
                  .keep_checkpoints = request->keep_checkpoints()};
    if (request->has_fork()) {
      call.fork = {request->fork().run_id(), request->fork().step(), request->fork().after_step(),
                   request->fork().learning_rate_factor()};
    }
    const auto answer = node_->OpenRun(call);
    if (!answer.ok()) return rpc::ToGrpcStatus(answer.status());
    response->set_adapter_path(answer->adapter_path);
    response->set_last_step(answer->last_step);
    ToProto(answer->adapter, response->mutable_adapter());
    response->set_value_head(answer->value_head);
    return grpc::Status::OK;
  }
  grpc::Status Train(grpc::ServerContext*, const learner::v1::TrainRequest* request,
                     learner::v1::TrainResponse* response) override {
    TrainCall call{.run_id = request->run_id(),
                   .step = request->step(),
                   .new_version = request->new_version()};
    for (const auto& rollout : request->rollouts()) {
      call.rollouts.push_back(
          {.prompt_index = rollout.prompt_index(),
           .query_ids = {rollout.query_ids().begin(), rollout.query_ids().end()},
           .response_ids = {rollout.response_ids().begin(), rollout.response_ids().end()},
           .logprobs = {rollout.behavior_logprobs().begin(), rollout.behavior_logprobs().end()},
           .adapter = AdapterRefFromProto(rollout.adapter()),
           .score = Score{rollout.score(), 0},
           .values = {rollout.values().begin(), rollout.values().end()},
           .value_head_sha256 = rollout.value_head_sha256(),
           .reference_logprobs = {rollout.reference_logprobs().begin(),
                                  rollout.reference_logprobs().end()},
           .reference = AdapterRefFromProto(rollout.reference())});
    }
    const auto answer = node_->Train(call);
    if (!answer.ok()) return rpc::ToGrpcStatus(answer.status());
    ToProto(answer->adapter, response->mutable_adapter());
    response->set_adapter_path(answer->adapter_path);
    response->mutable_stats()->insert(answer->stats.begin(), answer->stats.end());
    response->set_value_head(answer->value_head);
    return grpc::Status::OK;
  }
  grpc::Status GetAdapter(grpc::ServerContext*, const learner::v1::GetAdapterRequest* request,
                          grpc::ServerWriter<common::v1::AdapterChunk>* writer) override {
    const auto answer = node_->GetAdapter(request->run_id(), request->version());
    if (!answer.ok()) return rpc::ToGrpcStatus(answer.status());
    common::v1::AdapterRef ref;
    ToProto(answer->ref, &ref);
    return rpc::ToGrpcStatus(wire::SendAdapter(
        ref, answer->files,
        [&](const common::v1::AdapterChunk& chunk) { return writer->Write(chunk); }));
  }
  grpc::Status ScoreTokens(grpc::ServerContext*, const learner::v1::ScoreTokensRequest* request,
                           learner::v1::ScoreTokensResponse* response) override {
    const auto scores = node_->ScoreTokens(request->run_id(), PairsFromProto(request->pairs()),
                                           request->reference());
    if (!scores.ok()) return rpc::ToGrpcStatus(scores.status());
    for (const std::vector<float>& row : scores->values)
      response->add_values()->mutable_values()->Assign(row.begin(), row.end());
    return AnswerScores(scores, response);
  }

 private:
  FakeLearner* node_;
};

// Supervised runs of two steps.
class FakeSftService : public learner::v1::SftService::Service {
 public:
  grpc::Status CheckSft(grpc::ServerContext*, const learner::v1::CheckSftRequest* request,
                        learner::v1::CheckSftResponse*) override {
    if (request->spec().batch_size() > 0) return grpc::Status::OK;
    return {grpc::StatusCode::INVALID_ARGUMENT, "batch_size: 0: must be at least 1"};
  }
  grpc::Status StartSft(grpc::ServerContext*, const learner::v1::StartSftRequest* request,
                        learner::v1::StartSftResponse* response) override {
    response->mutable_run()->set_run_id(request->run_id());
    response->mutable_run()->set_state(learner::v1::SFT_STATE_RUNNING);
    response->mutable_run()->set_total_steps(2);
    return grpc::Status::OK;
  }
  grpc::Status WatchSft(grpc::ServerContext*, const learner::v1::WatchSftRequest* request,
                        grpc::ServerWriter<learner::v1::WatchSftResponse>* writer) override {
    learner::v1::WatchSftResponse event;
    event.set_activity("training step 1 of 2");
    writer->Write(event);
    for (int step = request->after_step() + 1; step <= 2; ++step) {
      event.mutable_step()->set_step(step);
      if (step > 0) event.mutable_step()->set_loss(1.0 / (1 << step));
      if (step == 0) event.mutable_step()->set_dev_loss(1);
      writer->Write(event);
    }
    learner::v1::SftRun* run = event.mutable_ended();
    run->set_state(learner::v1::SFT_STATE_DONE);
    run->set_step(2);
    run->set_total_steps(2);
    run->set_adapter_path("/ckpt/" + request->run_id() + "/adapter");
    run->set_adapter_sha256("ab");
    writer->Write(event);
    return grpc::Status::OK;
  }
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_TESTS_SERVICES_ORCHESTRATOR_FAKE_SERVICES_H_
