// Requests to a policy in which one allocation fails, at every place where one can: each ends with
// its answer or with RESOURCE_EXHAUSTED, and the engine goes on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "tests/services/policy/policy_service_fixture.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/fake_seq2seq_model.h"

namespace mellow::policy {
namespace {

using ::mellow::testing::FailingNew;
using Sequence = absl::StatusOr<nn::GeneratedSequence>;
using LogProbs = absl::StatusOr<std::vector<std::vector<float>>>;

// Lets an allocation of the engine's thread fail after the next Encode or ScoreTokens of it.
class FailingModel : public testing::FakeSeq2SeqModel {
 public:
  absl::StatusOr<std::vector<std::unique_ptr<nn::DecodeRow>>> Encode(
      absl::Span<const nn::EncodeRequest> requests) override {
    ArmOnce();
    return FakeSeq2SeqModel::Encode(requests);
  }
  absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const nn::ScoreRequest> requests) override {
    ArmOnce();
    return FakeSeq2SeqModel::ScoreTokens(requests);
  }

  std::atomic<int64_t> fail_at = 0;

 private:
  void ArmOnce() {
    if (const int64_t at = fail_at.exchange(0); at > 0) FailingNew::Arm(at);
  }
};

// Whether a request ended as one may whose allocation failed, or none of whose did.
template <typename Result>
bool Refused(const Result& result) {
  EXPECT_TRUE(result.ok() || absl::IsResourceExhausted(result.status())) << result.status();
  return !result.ok();
}

TEST(FailedAllocationTest, InTheEngineItIsTheErrorOfWhatItWorkedOn) {
  FailingModel model;
  obs::Metrics metrics;
  PolicyEngine engine(&model, {}, &metrics);
  const auto generate = [&](Lane lane) {
    auto promise = std::make_shared<std::promise<Sequence>>();
    GenerateJob job;
    job.source_ids = {5, 12};
    job.params.max_new_tokens = 16;
    job.adapter = std::make_shared<const ServedAdapter>();
    job.lane = lane;
    job.on_token = [](const nn::GeneratedSequence& so_far) {
      const std::vector<int32_t> copy = so_far.ids;
    };
    job.done = [promise](Sequence sequence) { promise->set_value(std::move(sequence)); };
    std::vector<GenerateJob> jobs;
    jobs.push_back(std::move(job));
    EXPECT_TRUE(engine.Submit(std::move(jobs)).ok());
    return promise->get_future();
  };
  const auto score = [&] {
    auto promise = std::make_shared<std::promise<LogProbs>>();
    ScoreJob job;
    for (int i = 0; i < 3; ++i) job.pairs.push_back({{7}, std::vector<int32_t>(200, 3)});
    job.adapter = std::make_shared<const ServedAdapter>();
    job.done = [promise](LogProbs logprobs) { promise->set_value(std::move(logprobs)); };
    EXPECT_TRUE(engine.Submit(std::move(job)).ok());
    return promise->get_future();
  };
  int refused = 0;
  for (int64_t at = 1; at <= 120; ++at) {
    SCOPED_TRACE(at);
    model.fail_at = at;
    auto user = generate(Lane::kUser);
    auto scored = score();
    auto rollout = generate(Lane::kRollout);
    refused += Refused(user.get());
    refused += Refused(scored.get());
    refused += Refused(rollout.get());
  }
  FailingNew::Disarm();
  EXPECT_GT(refused, 30) << "or nothing was disturbed";
  EXPECT_TRUE(generate(Lane::kUser).get().ok());
}

// Lets an allocation fail between the tokenizing of a text and the end of its answer.
class FailingTokenizer : public NumberTokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              int max_tokens) const override {
    if (const int64_t at = fail_at.exchange(0); at > 0) FailingNew::Arm(at);
    return NumberTokenizer::Encode(text, max_tokens);
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids, bool skip) const override {
    FailingNew::Disarm();  // what follows is gRPC's
    return NumberTokenizer::Decode(ids, skip);
  }

  mutable std::atomic<int64_t> fail_at = 0;
};

TEST(FailedAllocationTest, InAWorkerItIsTheErrorOfItsCall) {
  PolicyOptions options;
  options.prompt_template = "{dialogue}";
  testing::FakeSeq2SeqModel model;
  FailingTokenizer tokenizer;
  obs::Metrics metrics;
  AdapterTable adapters(2);
  PolicyEngine engine(&model, {}, &metrics);
  const nn::ModelHash hash(SourceTree("/deploy/models/mini-summarizer"));
  PolicyServiceImpl service(options, "cpu", &model, &hash, &tokenizer, &adapters, &engine,
                            &metrics);
  auto server =
      rpc::Server::Start({}, {&service}, {v1::PolicyService::service_full_name()}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = v1::PolicyService::NewStub((*server)->InProcessChannel());
  const auto summarize = [&] {
    v1::SummarizeRequest request;
    request.set_dialogue("5 8");
    v1::SummarizeResponse response;
    grpc::ClientContext context;
    return stub->Summarize(&context, request, &response);
  };
  const auto stream = [&] {
    v1::SummarizeRequest request;
    request.set_dialogue("5 8");
    grpc::ClientContext context;
    auto reader = stub->SummarizeStream(&context, request);
    v1::SummarizeStreamResponse part;
    while (reader->Read(&part)) {
    }
    return reader->Finish();
  };
  const auto generate = [&] {
    v1::GenerateRequest request;
    for (int i = 0; i < 3; ++i) request.add_prompts()->set_text("5 8");
    v1::GenerateResponse response;
    grpc::ClientContext context;
    return stub->Generate(&context, request, &response);
  };
  int refused = 0;
  for (int64_t at = 1; at <= 40; ++at) {
    SCOPED_TRACE(at);
    for (const auto& call :
         std::vector<std::function<grpc::Status()>>{summarize, stream, generate}) {
      tokenizer.fail_at = at;
      const grpc::Status status = call();
      FailingNew::Disarm();
      refused += !status.ok();
      EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED)
          << status.error_code() << " " << status.error_message();
    }
  }
  EXPECT_GT(refused, 20) << "or nothing was disturbed";
  EXPECT_TRUE(summarize().ok());
}

}  // namespace
}  // namespace mellow::policy
