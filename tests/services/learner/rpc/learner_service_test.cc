#include "services/learner/rpc/learner_service.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

#include "common/adapters/peft.h"
#include "common/base/sha256.h"
#include "common/nn/generation/generate.h"
#include "common/nn/load.h"
#include "common/rl/ppo_config.h"
#include "common/rpc/server.h"
#include "services/learner/rpc/proto_convert.h"
#include "services/wire/adapter_stream.h"
#include "tests/services/learner/learner_fixture.h"
#include "tests/testing/limited_methods.h"
#include "tests/testing/temp_folder.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

class LearnerServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server =
        rpc::Server::Start({}, {&service_}, {v1::LearnerService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::LearnerService::NewStub(server_->InProcessChannel());
  }
  v1::OpenRunRequest MakeOpen(const std::string& run_id) {
    v1::OpenRunRequest request;
    request.set_run_id(run_id);
    EXPECT_TRUE(
        google::protobuf::util::JsonStringToMessage(kConfig, request.mutable_config()).ok());
    return request;
  }
  grpc::Status Open(const v1::OpenRunRequest& request, v1::OpenRunResponse* response) {
    grpc::ClientContext context;
    return stub_->OpenRun(&context, request, response);
  }
  static v1::TrainRequest MakeTrain(const std::string& run_id, int step) {
    v1::TrainRequest request;
    request.set_run_id(run_id);
    request.set_step(step);
    request.set_new_version(step);
    for (const rl::Rollout& rollout : MakeRollouts(step)) {
      v1::Rollout* out = request.add_rollouts();
      out->mutable_query_ids()->Add(rollout.query_ids.begin(), rollout.query_ids.end());
      out->mutable_response_ids()->Add(rollout.response_ids.begin(), rollout.response_ids.end());
      out->set_score(rollout.score);
    }
    return request;
  }
  grpc::Status Train(const std::string& run_id, int step, v1::TrainResponse* response) {
    grpc::ClientContext context;
    return stub_->Train(&context, MakeTrain(run_id, step), response);
  }

  testing::TempFolder root_;
  obs::Metrics metrics_;
  ComputeTurns turns_;
  const nn::ModelHash model_hash_{kModel};
  LearnerServiceImpl service_{{kModel, root_.path(), 2, {}}, &model_hash_, &turns_, &metrics_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::LearnerService::Stub> stub_;
};

TEST_F(LearnerServiceTest, AnOlderOrchestratorIsRefusedAndToldOfTheNewerOne) {
  v1::OpenRunRequest open = MakeOpen("run-1");
  const auto open_as = [&](const std::string& owner, int64_t epoch, v1::OpenRunResponse* response) {
    open.set_owner(owner);
    open.set_epoch(epoch);
    return Open(open, response);
  };
  v1::OpenRunResponse first, second, again;
  ASSERT_TRUE(open_as("orchestrator A", 0, &first).ok());
  ASSERT_TRUE(open_as("orchestrator A", first.epoch(), &again).ok());
  EXPECT_EQ(again.epoch(), first.epoch());
  ASSERT_TRUE(open_as("orchestrator B", 0, &second).ok());
  EXPECT_GT(second.epoch(), first.epoch());

  const auto refused = [&](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("orchestrator B"));
  };
  for (int attempt = 0; attempt < 2; ++attempt) {
    refused(open_as("orchestrator A", first.epoch(), &again));
    v1::ScoreTokensRequest score;
    score.set_run_id("run-1");
    score.add_pairs()->add_source_ids(1);
    score.mutable_pairs(0)->add_target_ids(1);
    v1::ScoreTokensResponse scores;
    score.set_epoch(first.epoch());
    grpc::ClientContext older, newer;
    refused(stub_->ScoreTokens(&older, score, &scores));
    score.set_epoch(second.epoch());
    EXPECT_TRUE(stub_->ScoreTokens(&newer, score, &scores).ok());
    // Also by a learner that was restarted.
    OwnerEpoch restarted(root_.path());
    EXPECT_TRUE(absl::IsFailedPrecondition(restarted.Check(first.epoch())));
    EXPECT_TRUE(restarted.Check(second.epoch()).ok());
  }
  ASSERT_TRUE(open_as("orchestrator A", 0, &again).ok()) << "restarted, it takes the learner back";
  EXPECT_GT(again.epoch(), second.epoch());
}

TEST_F(LearnerServiceTest, ARepeatedStepIsAnsweredFromTheRecord) {
  v1::OpenRunResponse opened;
  ASSERT_TRUE(Open(MakeOpen("run-1"), &opened).ok());
  EXPECT_EQ(opened.last_step(), 0);
  EXPECT_EQ(opened.adapter().version(), 0);
  EXPECT_GT(opened.total_parameters(), opened.trainable_parameters());
  v1::TrainResponse first, again;
  ASSERT_TRUE(Train("run-1", 1, &first).ok());
  EXPECT_FALSE(first.replayed());
  ASSERT_TRUE(Train("run-1", 1, &again).ok());
  EXPECT_TRUE(again.replayed());
  EXPECT_EQ(again.adapter().sha256(), first.adapter().sha256());
  EXPECT_EQ(again.stats().at("objective/kl"), first.stats().at("objective/kl"));
  EXPECT_TRUE(first.stats().contains("ppo/returns/mean"));
  ASSERT_TRUE(Open(MakeOpen("run-1"), &opened).ok()) << "opening an open run is harmless";
  EXPECT_EQ(opened.last_step(), 1);
}

TEST_F(LearnerServiceTest, KlToTheReferenceIsExactlyZeroAtTheStart) {
  v1::OpenRunResponse opened;
  ASSERT_TRUE(Open(MakeOpen("run-1"), &opened).ok());
  v1::TrainResponse trained;
  ASSERT_TRUE(Train("run-1", 1, &trained).ok());
  EXPECT_EQ(trained.stats().at("objective/kl"), 0);
}

// A policy node's part of some steps: samples with the learner's adapter, and gives the numbers
// that the learner can take over.
class PolicyNode {
 public:
  // The request of a step; the weights are those that the learner has now.
  v1::TrainRequest Sample(v1::LearnerService::Stub* learner, const std::string& run_id, int step,
                          const common::v1::AdapterRef& weights, const std::string& value_head) {
    v1::TrainRequest request;
    request.set_run_id(run_id);
    request.set_step(step);
    request.set_new_version(step);
    v1::GetAdapterRequest get;
    get.set_run_id(run_id);
    grpc::ClientContext context;
    auto reader = learner->GetAdapter(&context, get);
    const auto received = wire::ReceiveAdapter(
        [&](common::v1::AdapterChunk* chunk) { return reader->Read(chunk); }, 1 << 30);
    EXPECT_TRUE(reader->Finish().ok() && received.ok());
    const auto adapter = model_->Prepare(*adapters::ParsePeft(received->files));
    const auto head = nn::ParseValueHead(value_head, model_->config().d_model);
    EXPECT_TRUE(adapter.ok() && head.ok()) << head.status();
    std::vector<nn::GenerateItem> items;
    for (const rl::Rollout& rollout : MakeRollouts(step)) {
      nn::GenerateItem& item = items.emplace_back();
      item.source_ids = rollout.query_ids;
      item.params.do_sample = true;
      item.params.max_new_tokens = 6;
      item.stream.prompt_index = items.size();
      item.adapter = adapter->get();
      item.value_head = &*head;
    }
    const auto sampled = nn::Generate(*model_, items);
    EXPECT_TRUE(sampled.ok()) << sampled.status();
    for (size_t i = 0; i < items.size(); ++i) {
      const nn::GeneratedSequence& sequence = (*sampled)[i];
      v1::Rollout* out = request.add_rollouts();
      out->mutable_query_ids()->Add(items[i].source_ids.begin(), items[i].source_ids.end());
      out->mutable_response_ids()->Add(sequence.ids.begin(), sequence.ids.end());
      out->mutable_behavior_logprobs()->Add(sequence.logprobs.begin(), sequence.logprobs.end());
      out->set_score(static_cast<float>(i) - 1.5f);
      *out->mutable_adapter() = weights;
      out->mutable_values()->Add(sequence.values.begin(), sequence.values.end());
      out->set_value_head_sha256(Sha256Hex(value_head));
      const auto scores = model_->ScoreTokens({{items[i].source_ids, sequence.ids, nullptr}});
      EXPECT_TRUE(scores.ok()) << scores.status();
      out->mutable_reference_logprobs()->Add((*scores)[0].begin(), (*scores)[0].end());
      out->mutable_reference();  // the base model: a fresh adapter equals it
    }
    return request;
  }

 private:
  std::unique_ptr<nn::Seq2SeqModel> model_ = *nn::LoadSeq2SeqModel(kModel, {.threads = 1});
};

// Runs of three steps with what `change` makes of the rollouts.
class NumbersOfNodesTest : public LearnerServiceTest {
 protected:
  struct Result {
    std::vector<std::string> hashes;
    std::vector<double> skipped;
    bool operator==(const Result&) const = default;
  };
  Result Run(const std::string& run_id, const std::function<void(v1::Rollout*)>& change) {
    v1::OpenRunResponse opened;
    EXPECT_TRUE(Open(MakeOpen(run_id), &opened).ok());
    common::v1::AdapterRef weights = opened.adapter();
    std::string value_head = opened.value_head();
    Result result;
    for (int step = 1; step <= 3; ++step) {
      v1::TrainRequest request = node_.Sample(stub_.get(), run_id, step, weights, value_head);
      for (v1::Rollout& rollout : *request.mutable_rollouts()) change(&rollout);
      v1::TrainResponse response;
      grpc::ClientContext context;
      const grpc::Status status = stub_->Train(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      weights = response.adapter();
      value_head = response.value_head();
      result.hashes.push_back(weights.sha256());
      result.skipped.push_back(response.stats().at("ppo/passes_skipped"));
      v1::TrainResponse again;
      grpc::ClientContext second;
      EXPECT_TRUE(stub_->Train(&second, request, &again).ok());
      EXPECT_EQ(again.value_head(), value_head) << "also of a step that is recorded";
    }
    return result;
  }
  PolicyNode node_;
};

TEST_F(NumbersOfNodesTest, AreTakenOverToTheSameHash) {
  const Result none = Run("none", [](v1::Rollout* rollout) {
    rollout->clear_values();
    rollout->clear_reference_logprobs();
  });
  EXPECT_THAT(none.skipped, ::testing::Each(0));
  const Result all = Run("all", [](v1::Rollout*) {});
  EXPECT_THAT(all.skipped, ::testing::Each(4));
  EXPECT_EQ(all.hashes, none.hashes);

  // What is not of this step's weights is not looked at.
  const Result others = Run("others", [](v1::Rollout* rollout) {
    for (float& value : *rollout->mutable_values()) value += 1;
    rollout->set_value_head_sha256("of another step");
    for (float& value : *rollout->mutable_reference_logprobs()) value += 1;
    rollout->mutable_reference()->set_version(7);
    rollout->mutable_reference()->set_sha256("of another adapter");
  });
  EXPECT_EQ(others, none);
  const Result silent = Run("silent", [](v1::Rollout* rollout) {
    rollout->clear_value_head_sha256();
    rollout->clear_reference();
  });
  EXPECT_EQ(silent, none);
}

TEST_F(NumbersOfNodesTest, ScoresOfTheCurrentWeightsComeWithValues) {
  v1::OpenRunResponse opened;
  ASSERT_TRUE(Open(MakeOpen("run"), &opened).ok());
  const v1::TrainRequest step =
      node_.Sample(stub_.get(), "run", 1, opened.adapter(), opened.value_head());
  v1::ScoreTokensRequest request;
  request.set_run_id("run");
  for (const v1::Rollout& rollout : step.rollouts()) {
    *request.add_pairs()->mutable_source_ids() = rollout.query_ids();
    *request.mutable_pairs()->rbegin()->mutable_target_ids() = rollout.response_ids();
  }
  v1::ScoreTokensResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->ScoreTokens(&context, request, &response).ok());
  ASSERT_EQ(response.values_size(), step.rollouts_size());
  for (int i = 0; i < step.rollouts_size(); ++i) {
    EXPECT_THAT(response.values(i).values(),
                ::testing::ElementsAreArray(step.rollouts(i).values()));
  }
}

TEST_F(LearnerServiceTest, TheStreamedAdapterHasTheAnnouncedHash) {
  v1::OpenRunResponse opened;
  ASSERT_TRUE(Open(MakeOpen("run-1"), &opened).ok());
  v1::TrainResponse trained;
  ASSERT_TRUE(Train("run-1", 1, &trained).ok());
  v1::GetAdapterRequest request;
  request.set_run_id("run-1");
  grpc::ClientContext context;
  auto reader = stub_->GetAdapter(&context, request);
  const auto received = wire::ReceiveAdapter(
      [&](common::v1::AdapterChunk* chunk) { return reader->Read(chunk); }, 1 << 30);
  ASSERT_TRUE(reader->Finish().ok());
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(received->ref.version(), 1);
  const auto lora = adapters::ParsePeft(received->files);
  ASSERT_TRUE(lora.ok()) << lora.status();
  EXPECT_EQ(adapters::ContentHash(*lora), trained.adapter().sha256());
}

TEST_F(LearnerServiceTest, CallsWithoutAnOpenRunSaySo) {
  v1::TrainResponse trained;
  const grpc::Status status = Train("run-1", 1, &trained);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("OpenRun"));
  v1::OpenRunRequest bad = MakeOpen("run-1");
  bad.mutable_config()->set_kl_penalty("kk");
  v1::OpenRunResponse opened;
  const grpc::Status refused = Open(bad, &opened);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("kl_penalty"));
}

TEST_F(LearnerServiceTest, SaysWithoutOpeningItWhetherARunCouldBeOpened) {
  v1::CheckRunRequest request;
  *request.mutable_config() = MakeOpen("run-1").config();
  const auto check = [&] {
    grpc::ClientContext context;
    v1::CheckRunResponse response;
    return stub_->CheckRun(&context, request, &response);
  };
  EXPECT_TRUE(check().ok());
  request.mutable_config()->mutable_lora()->add_target_modules("no_such_layer");
  EXPECT_EQ(check().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(check().error_message(), HasSubstr("lora.target_modules: \"no_such_layer\""));
  request.mutable_config()->clear_lora();
  request.set_start_adapter("/nowhere");
  EXPECT_EQ(check().error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(check().error_message(), HasSubstr("start_adapter"));
  // The adapter is one of a model with other shapes.
  request.set_start_adapter(mellow::SourceTree("/tests/parity/golden/families/umt5-qv"));
  EXPECT_EQ(check().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(check().error_message(), HasSubstr("does not fit the model"));
  EXPECT_TRUE(std::filesystem::is_empty(root_.path())) << "nothing was written";
}

TEST_F(LearnerServiceTest, ScoresWithTheCurrentWeightsAndTheReference) {
  v1::OpenRunResponse opened;
  ASSERT_TRUE(Open(MakeOpen("run-1"), &opened).ok());
  v1::TrainResponse trained;
  ASSERT_TRUE(Train("run-1", 1, &trained).ok());
  v1::ScoreTokensRequest request;
  request.set_run_id("run-1");
  request.add_pairs()->add_source_ids(5);
  request.mutable_pairs(0)->add_target_ids(7);
  v1::ScoreTokensResponse current, reference;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ScoreTokens(&context, request, &current).ok());
  }
  request.set_reference(true);
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->ScoreTokens(&context, request, &reference).ok());
  EXPECT_NE(current.logprobs(0).values(0), reference.logprobs(0).values(0));
}

// Whose wait has no end here: somebody else computes.
TEST_F(LearnerServiceTest, CallsThatWaitEndWithTheirCallers) {
  v1::OpenRunResponse opened;
  ASSERT_TRUE(Open(MakeOpen("run-1"), &opened).ok());
  const ComputeTurns::Turn busy(&turns_);
  // One of them waits for the turn, the others wait for that one.
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::jthread> calls;
  std::atomic<int> cancelled{0};
  const auto call = [&](const std::function<grpc::Status(grpc::ClientContext*)>& make) {
    grpc::ClientContext* const context =
        contexts.emplace_back(std::make_unique<grpc::ClientContext>()).get();
    calls.emplace_back([&cancelled, context, make] {
      cancelled += make(context).error_code() == grpc::StatusCode::CANCELLED;
    });
  };
  v1::ScoreTokensRequest score;
  score.set_run_id("run-1");
  score.add_pairs()->add_source_ids(1);
  score.mutable_pairs(0)->add_target_ids(1);
  for (int i = 0; i < 3; ++i) {
    call([&](grpc::ClientContext* context) {
      v1::ScoreTokensResponse response;
      return stub_->ScoreTokens(context, score, &response);
    });
  }
  while (turns_.waiting() == 0) std::this_thread::yield();
  call([&](grpc::ClientContext* context) {
    v1::GetAdapterRequest get;
    get.set_run_id("run-1");
    common::v1::AdapterChunk chunk;
    auto reader = stub_->GetAdapter(context, get);
    while (reader->Read(&chunk)) {
    }
    return reader->Finish();
  });
  for (const auto& context : contexts) context->TryCancel();
  calls.clear();
  EXPECT_EQ(cancelled, 4);
  // At the server too: nobody holds what the next call needs.
  while (turns_.waiting() > 0) std::this_thread::yield();
  EXPECT_TRUE(Open(MakeOpen("run-1"), &opened).ok());
}

// A worker that cannot be reached; every try asks something.
class AskingPeer : public GradientPeer {
 public:
  explicit AskingPeer(std::function<void()> ask) : ask_(std::move(ask)) {}
  absl::Status PutWeights(const PackedWeights&, std::stop_token) override {
    ask_();
    return absl::UnavailableError("connection refused");
  }
  absl::StatusOr<rl::Evaluation> Evaluate(const std::string&, const std::string&,
                                          const rl::EvaluationTask&, std::stop_token) override {
    return absl::UnavailableError("connection refused");
  }
  absl::StatusOr<rl::GradientAnswer> Gradient(const std::string&, const rl::GradientTask&,
                                              std::stop_token) override {
    return absl::UnavailableError("connection refused");
  }

 private:
  const std::function<void()> ask_;
};

TEST_F(LearnerServiceTest, AStepThatWouldNotEndIsToldAndNoneIsNot) {
  const auto in_an_hour = [] { return SteadyTime::Now() + absl::Hours(1); };
  std::atomic<int> asked{0}, stuck{0};
  LearnerServiceImpl* learner = nullptr;
  const auto ask = [&] {
    ++asked;
    EXPECT_EQ(learner->Stalled(), absl::ZeroDuration());
    stuck += learner->Stalled(in_an_hour()) > absl::Minutes(59);
  };
  LearnerServiceImpl service({kModel, root_.path(), 2, {}}, &model_hash_, &turns_, &metrics_,
                             rpc::CallLimiter::None(),
                             [&](const WorkerNode&) { return std::make_shared<AskingPeer>(ask); });
  learner = &service;
  const v1::OpenRunRequest open = MakeOpen("run-1");
  v1::OpenRunResponse opened;
  ASSERT_TRUE(service.OpenRun(nullptr, &open, &opened).ok());
  v1::TrainRequest train = MakeTrain("run-1", 1);
  train.add_workers()->set_node_id("worker-0");
  v1::TrainResponse trained;
  ASSERT_TRUE(service.Train(nullptr, &train, &trained).ok());
  EXPECT_GE(asked, 1);
  EXPECT_EQ(stuck, asked);
  EXPECT_EQ(service.Stalled(in_an_hour()), absl::ZeroDuration()) << "the step is done";
}

TEST(ComputeTurnsTest, WhoGoesWhileItWaitsIsSkipped) {
  ComputeTurns turns;
  std::atomic<bool> gone{false};
  std::atomic<int> served{0};
  std::optional<ComputeTurns::Turn> first(std::in_place, &turns);
  std::jthread leaves(
      [&] { EXPECT_TRUE(absl::IsCancelled(turns.Await([&] { return gone.load(); }).status())); });
  while (turns.waiting() < 1) std::this_thread::yield();
  std::jthread stays([&] {
    const auto turn = turns.Await([] { return false; });
    EXPECT_TRUE(turn.ok());
    ++served;
  });
  while (turns.waiting() < 2) std::this_thread::yield();
  gone = true;
  leaves.join();
  EXPECT_EQ(served, 0) << "the first one has its turn still";
  first.reset();
  stays.join();
  EXPECT_EQ(served, 1);
  EXPECT_TRUE(turns.Await([] { return false; }).ok()) << "everybody has given back";
}

TEST_F(LearnerServiceTest, EveryMethodCountsAgainstTheLimitsOfItsClient) {
  const auto make = [&](rpc::CallLimiter* limiter) {
    return std::make_unique<LearnerServiceImpl>(PpoSession::Options{kModel, root_.path(), 2, {}},
                                                &model_hash_, &turns_, &metrics_, limiter);
  };
  EXPECT_THAT(mellow::testing::MethodsWithoutLimits(make, v1::LearnerService::service_full_name()),
              ::testing::IsEmpty());
}

}  // namespace
}  // namespace mellow::learner
