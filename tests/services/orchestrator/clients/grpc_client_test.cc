#include "services/orchestrator/clients/grpc_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/rpc/server.h"
#include "mellow/learner/v1/learner.grpc.pb.h"
#include "mellow/learner/v1/sft.grpc.pb.h"
#include "mellow/policy/v1/policy.grpc.pb.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

// A learner and a policy node that get as far as the middle of an adapter.
class Halfway {
 public:
  // In a handler: tells the test, and waits for the end of the call.
  void Reach(grpc::ServerContext* context) {
    reached_.set_value();
    while (!context->IsCancelled()) std::this_thread::yield();
  }
  void Wait() { reached_.get_future().wait(); }

 private:
  std::promise<void> reached_;
};

class LearnerService : public learner::v1::LearnerService::Service {
 public:
  explicit LearnerService(Halfway* halfway) : halfway_(halfway) {}
  grpc::Status GetAdapter(grpc::ServerContext* context, const learner::v1::GetAdapterRequest*,
                          grpc::ServerWriter<common::v1::AdapterChunk>* writer) override {
    common::v1::AdapterChunk chunk;
    chunk.mutable_header()->set_data_bytes(1 << 20);
    writer->Write(chunk);
    if (answer.ok()) halfway_->Reach(context);
    return answer;
  }
  grpc::Status answer = grpc::Status::OK;

 private:
  Halfway* const halfway_;
};

// Says that every run fails at a full disk, and which owners were shown to it.
class SftService : public learner::v1::SftService::Service {
 public:
  grpc::Status StartSft(grpc::ServerContext*, const learner::v1::StartSftRequest* request,
                        learner::v1::StartSftResponse* response) override {
    shown.push_back(request->owner_epoch());
    owner = request->owner();
    response->set_owner_epoch(gives);
    return grpc::Status::OK;
  }
  grpc::Status WatchSft(grpc::ServerContext*, const learner::v1::WatchSftRequest* request,
                        grpc::ServerWriter<learner::v1::WatchSftResponse>* writer) override {
    shown.push_back(request->owner_epoch());
    learner::v1::WatchSftResponse event;
    event.mutable_ended()->set_state(learner::v1::SFT_STATE_FAILED);
    event.mutable_ended()->set_error("disk full");
    event.mutable_ended()->set_status_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
    writer->Write(event);
    return grpc::Status::OK;
  }
  grpc::Status StopSft(grpc::ServerContext*, const learner::v1::StopSftRequest* request,
                       learner::v1::StopSftResponse*) override {
    shown.push_back(request->owner_epoch());
    return grpc::Status::OK;
  }
  std::vector<int64_t> shown;
  std::string owner;
  int64_t gives = 7;
};

class PolicyService : public policy::v1::PolicyService::Service {
 public:
  explicit PolicyService(Halfway* halfway) : halfway_(halfway) {}
  grpc::Status PublishAdapter(grpc::ServerContext* context,
                              grpc::ServerReader<common::v1::AdapterChunk>* reader,
                              policy::v1::PublishAdapterResponse*) override {
    common::v1::AdapterChunk chunk;
    reader->Read(&chunk);
    halfway_->Reach(context);
    return grpc::Status::OK;
  }

 private:
  Halfway* const halfway_;
};

class GrpcClientTest : public ::testing::Test {
 protected:
  GrpcClientTest() {
    auto server =
        rpc::Server::Start({}, {&learner_, &policy_, &sft_}, {"learner", "policy"}, &metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    clients_ = MakeGrpcNodeClients();
  }
  std::future<absl::Status> Get() {
    return std::async(std::launch::async, [this] {
      return clients_->Learner("learner-0", server_->address())
          ->GetAdapter("run", 3, stop_.get_token())
          .status();
    });
  }
  std::future<absl::Status> Publish() {
    return std::async(std::launch::async, [this] {
      adapters::PeftFiles files;
      files.safetensors = std::string(16 << 20, 'x');  // more than any window
      return clients_->Policy("policy-0", server_->address())
          ->PublishAdapter({3, "hash"}, files, wire::Publication::kNewest, stop_.get_token());
    });
  }

  Halfway halfway_;
  LearnerService learner_{&halfway_};
  PolicyService policy_{&halfway_};
  SftService sft_;
  obs::Metrics metrics_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<NodeClients> clients_;
  std::stop_source stop_;
};

TEST_F(GrpcClientTest, ALearnerThatDiesInTheMiddleOfAnAdapterIsUnavailable) {
  auto status = Get();
  halfway_.Wait();
  server_->Shutdown(absl::ZeroDuration());
  const absl::Status lost = status.get();
  EXPECT_TRUE(absl::IsUnavailable(lost)) << lost;
  EXPECT_THAT(std::string(lost.message()), HasSubstr("learner-0 at "));
}

TEST_F(GrpcClientTest, APolicyThatDiesInTheMiddleOfAnAdapterIsUnavailable) {
  auto status = Publish();
  halfway_.Wait();
  server_->Shutdown(absl::ZeroDuration());
  const absl::Status lost = status.get();
  EXPECT_TRUE(absl::IsUnavailable(lost)) << lost;
}

TEST_F(GrpcClientTest, WhatIsGivenUpFromHereIsUnavailableAndSaysSo) {
  auto got = Get();
  halfway_.Wait();
  stop_.request_stop();
  const absl::Status given_up = got.get();
  EXPECT_TRUE(absl::IsUnavailable(given_up)) << given_up;
  EXPECT_THAT(std::string(given_up.message()), HasSubstr("given up from here"));
}

TEST_F(GrpcClientTest, APublicationThatIsGivenUpIsUnavailableToo) {
  auto sent = Publish();
  halfway_.Wait();
  stop_.request_stop();
  const absl::Status given_up = sent.get();
  EXPECT_TRUE(absl::IsUnavailable(given_up)) << given_up;
  EXPECT_THAT(std::string(given_up.message()), HasSubstr("given up from here"));
}

TEST_F(GrpcClientTest, CallsOfSupervisedRunsShowTheNewestEpochThatTheLearnerGave) {
  const auto sft = [&] { return clients_->Sft("learner-0", server_->address()); };
  ASSERT_TRUE(sft()->Start({"run", ""}, {}).ok());
  EXPECT_THAT(sft_.owner, HasSubstr("the orchestrator that is "));
  ASSERT_TRUE(sft()->Watch("run", -1, {}, {}).ok());
  ASSERT_TRUE(sft()->Stop("run", {}).ok());
  sft_.gives = 5;  // of a call that was answered late
  ASSERT_TRUE(sft()->Start({"run", ""}, {}).ok());
  sft_.gives = 0;  // of a learner that knows of none
  ASSERT_TRUE(sft()->Start({"run", ""}, {}).ok());
  ASSERT_TRUE(sft()->Stop("run", {}).ok());
  EXPECT_THAT(sft_.shown, ::testing::ElementsAre(0, 7, 7, 7, 7, 7));
}

TEST_F(GrpcClientTest, ARunThatFailedSaysItsCodeOnce) {
  const auto ended = clients_->Sft("learner-0", server_->address())->Watch("run", -1, {}, {});
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state, SftState::kFailed);
  EXPECT_EQ(ended->code, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ended->error, "disk full");
  EXPECT_EQ(ended->run, "") << "the record of the run has the error";
}

// It would be sent again for ever, as what passes is.
TEST_F(GrpcClientTest, AMessageThatCanNeverFitIsInvalidAndNamesWhatToChange) {
  LearnerService learner(&halfway_);
  PolicyService policy(&halfway_);
  obs::Metrics metrics;
  rpc::ServerOptions options;
  options.max_message_bytes = 64 << 10;
  const auto server =
      rpc::Server::Start(options, {&learner, &policy}, {"learner", "policy"}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = (*server)->address();
  TrainCall call;
  call.rollouts.resize(1);
  call.rollouts[0].logprobs.resize(32 << 10);  // 128 KiB
  const absl::Status train = clients_->Learner("learner-0", address)->Train(call, {}).status();
  EXPECT_EQ(train.code(), absl::StatusCode::kInvalidArgument) << train;
  EXPECT_THAT(std::string(train.message()),
              ::testing::AllOf(HasSubstr("learner-0 at "), HasSubstr("--max-message-mib")));
  GenerateCall generate;
  generate.prompts.resize(1);
  generate.prompts[0].ids.assign(64 << 10, 30000);
  EXPECT_TRUE(absl::IsInvalidArgument(
      clients_->Policy("policy-0", address)->Generate(generate, absl::Seconds(10), {}).status()));
}

TEST_F(GrpcClientTest, AStreamThatEndsEarlyIsJudgedByItsStatus) {
  learner_.answer = grpc::Status(grpc::StatusCode::CANCELLED, "the learner's own");
  EXPECT_TRUE(absl::IsUnavailable(Get().get()));
  learner_.answer = grpc::Status(grpc::StatusCode::NOT_FOUND, "no such version");
  EXPECT_TRUE(absl::IsNotFound(Get().get()));
}

}  // namespace
}  // namespace mellow::orchestrator
