#include "services/policy/policy_service.h"

#include <grpcpp/create_channel.h>

#include <future>

#include "absl/strings/match.h"
#include "common/rpc/client.h"
#include "common/sync/mutex.h"
#include "gmock/gmock.h"
#include "tests/services/policy/policy_service_fixture.h"
#include "tests/testing/limited_methods.h"

namespace mellow::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(PolicyServiceTest, AnUnknownLaneAndATemperatureThatIsNoneAreNamed) {
  v1::GenerateRequest request = MakeRequest("5 8");
  request.set_lane(static_cast<v1::Lane>(7));
  v1::GenerateResponse response;
  grpc::Status status = Generate(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "lane: 7: unknown");
  request = MakeRequest("5 8");
  request.mutable_sampling()->set_temperature(1e300);
  status = Generate(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("temperature: 1e+300"), std::string::npos)
      << status.error_message();
}

TEST_F(PolicyServiceTest, GenerateAnswersInOrderWithTheAdapterThatAnswered) {
  v1::GenerateRequest request = MakeRequest("5 8");
  request.add_prompts()->mutable_tokens()->mutable_ids()->Add(20);
  request.mutable_prompts(1)->set_max_new_tokens(2);
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  ASSERT_EQ(response.generations_size(), 2);
  EXPECT_THAT(response.generations(0).ids(), ElementsAre(5, 6, 7, 1));
  EXPECT_EQ(response.generations(0).finish_reason(), v1::FINISH_REASON_EOS);
  EXPECT_THAT(response.generations(1).ids(), ElementsAre(20, 21));
  EXPECT_EQ(response.generations(1).finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(response.generations(1).text(), "20 21");
  EXPECT_EQ(response.adapter().version(), 0);
}

TEST_F(PolicyServiceTest, PadsAreLeftOutOfIdsAloneAndOfThoseThatAreNoTokenizers) {
  // The model counts up from the first id that it sees.
  model_.mutable_config()->generation.pad_token_id = 3;
  v1::GenerateRequest request = MakeRequest("3 5 8");
  for (const bool attend : {false, true}) {
    v1::Prompt* prompt = request.add_prompts();
    for (const int32_t id : {3, 5, 8}) prompt->mutable_tokens()->add_ids(id);
    prompt->set_attend_to_pads(attend);
  }
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_THAT(response.generations(0).ids(), ElementsAre(3, 4, 1));  // a text spells it out
  EXPECT_THAT(response.generations(1).ids(), ElementsAre(5, 6, 7, 1));
  EXPECT_THAT(response.generations(2).ids(), ElementsAre(3, 4, 1));  // a rollout
}

TEST_F(PolicyServiceTest, MorePromptsThanTheQueueHoldsAreInvalidAndToldWhatWouldFit) {
  v1::GenerateRequest request;
  for (int i = 0; i < 600; ++i) request.add_prompts()->set_text("5 8");
  v1::GenerateResponse response;
  const grpc::Status status = Generate(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "600 prompts at once: this node's queue holds 512");
}

TEST_F(PolicyServiceTest, BadRequestsNameTheField) {
  v1::GenerateResponse response;
  const auto expect = [&](const v1::GenerateRequest& request, grpc::StatusCode code,
                          const std::string& part) {
    const grpc::Status status = Generate(request, &response);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(part));
  };
  expect({}, grpc::StatusCode::INVALID_ARGUMENT, "prompts");
  v1::GenerateRequest request;
  request.add_prompts();
  expect(request, grpc::StatusCode::INVALID_ARGUMENT, "prompts[0]");
  expect(MakeRequest(""), grpc::StatusCode::INVALID_ARGUMENT, "text");
  expect(MakeRequest("1 2 3 4 5 6 7 8 9"), grpc::StatusCode::INVALID_ARGUMENT, "9 tokens");
  request = MakeRequest("5");
  request.mutable_prompts(0)->mutable_tokens()->add_ids(64);
  expect(request, grpc::StatusCode::INVALID_ARGUMENT, "64");
  request = MakeRequest("5");
  request.mutable_sampling()->set_temperature(0);
  expect(request, grpc::StatusCode::INVALID_ARGUMENT, "temperature");
  request = MakeRequest("5");
  request.mutable_sampling()->set_max_new_tokens(33);
  expect(request, grpc::StatusCode::INVALID_ARGUMENT, "max_new_tokens 33");
  request = MakeRequest("5");
  request.set_adapter_version(9);
  expect(request, grpc::StatusCode::NOT_FOUND, "adapter_version 9");
}

TEST_F(PolicyServiceTest, StreamSendsTokensAndEndsWithTheReason) {
  v1::GenerateStreamRequest request;
  request.mutable_prompt()->set_text("5 8");
  grpc::ClientContext context;
  auto reader = stub_->GenerateStream(&context, request);
  v1::GenerateStreamResponse part;
  std::vector<int32_t> ids;
  std::string text;
  v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
  while (reader->Read(&part)) {
    ids.insert(ids.end(), part.ids().begin(), part.ids().end());
    text += part.text();
    reason = part.finish_reason();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(ids, ElementsAre(5, 6, 7, 1));
  EXPECT_EQ(text, "5 6 7 1");
  EXPECT_EQ(reason, v1::FINISH_REASON_EOS);
}

TEST(PolicyOptionsTest, TheLimitOfSourceTokensIsWhatTheBudgetLeaves) {
  PolicyOptions options;
  EXPECT_EQ(options.SourceTokens(), options.max_batch_tokens - options.max_new_tokens);
  options.max_batch_tokens = 4096;
  options.max_new_tokens = 96;
  EXPECT_EQ(options.SourceTokens(), 4000);
  options.max_source_tokens = 512;
  EXPECT_EQ(options.SourceTokens(), 512);
}

TEST_F(PolicyServiceTest, ALongTextIsRefusedBeforeItIsTokenized) {
  v1::SummarizeRequest request;
  v1::SummarizeResponse response;
  // 128 bytes per source token would be 1 KiB; ordinary articles are taken in any case.
  request.set_dialogue(std::string("5 8 ") + std::string((64 << 10) - 4, ' '));
  {
    grpc::ClientContext context;
    EXPECT_TRUE(stub_->Summarize(&context, request, &response).ok());
  }
  request.mutable_dialogue()->push_back(' ');
  const int before = tokenizer_.calls;
  grpc::ClientContext context;
  grpc::Status status = stub_->Summarize(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "dialogue: 65537 bytes, at most 65536 (--max-text-bytes)");
  v1::GenerateResponse generated;
  status = Generate(MakeRequest(request.dialogue()), &generated);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "prompts[0]: text: 65537 bytes, at most 65536 (--max-text-bytes)");
  EXPECT_EQ(tokenizer_.calls, before);
}

TEST_F(PolicyServiceTest, WorkIsCountedInRowsAndLengths) {
  v1::SummarizeRequest summarize;
  EXPECT_EQ(service_.WorkOf(summarize), 1);
  summarize.set_max_new_tokens(17);
  EXPECT_EQ(service_.WorkOf(summarize), 2) << "16 are a unit";
  summarize.set_max_new_tokens(-5);
  EXPECT_EQ(service_.WorkOf(summarize), 1);
  v1::GenerateRequest generate = MakeRequest("5");
  generate.add_prompts()->set_max_new_tokens(32);
  generate.mutable_sampling()->set_num_beams(4);
  EXPECT_EQ(service_.WorkOf(generate), 4 + 8);
  generate.mutable_sampling()->set_num_beams(INT32_MAX);
  EXPECT_EQ(service_.WorkOf(generate), 64 * 3) << "no more than could ever run";
  v1::ScoreTokensRequest score;
  score.add_pairs();
  score.add_pairs();
  EXPECT_EQ(service_.WorkOf(score), 2);
}

// 2,000 users at once, while a run goes on: what the queue has no place for is refused at once, the
// rest is served, and neither the run nor what controls it waits for a user.
TEST_F(PolicyServiceTest, UsersBeyondTheQueueAreRefusedAndControlCallsAreNot) {
  constexpr int kCalls = 2000;
  model_.Hold();
  v1::GenerateRequest rollouts;
  for (int i = 0; i < 8; ++i) {
    rollouts.add_prompts()->mutable_tokens()->mutable_ids()->Add(5);
    rollouts.mutable_prompts(i)->mutable_tokens()->mutable_ids()->Add(8);
  }
  rollouts.set_lane(v1::LANE_ROLLOUT);
  auto run = std::async(std::launch::async, [&] {
    v1::GenerateResponse response;
    return Generate(rollouts, &response);
  });
  model_.WaitUntilHeld();

  struct Call {
    grpc::ClientContext context;
    v1::SummarizeRequest request;
    v1::SummarizeResponse response;
    grpc::Status status;
    bool over = false;
  };
  // Over a socket: an in-process channel has no transport that could be the bottleneck.
  const auto channel = rpc::MakeChannel(server_->address());
  auto users = v1::PolicyService::NewStub(channel);
  std::vector<std::unique_ptr<Call>> calls;
  Mutex mutex;
  CondVar changed;
  int refused = 0, over = 0;
  for (int i = 0; i < kCalls; ++i) {
    Call* call = calls.emplace_back(std::make_unique<Call>()).get();
    call->request.set_dialogue("5 8");
    users->async()->Summarize(
        &call->context, &call->request, &call->response, [&, call](grpc::Status status) {
          MutexLock lock(&mutex);
          call->status = std::move(status);
          ++over;
          refused += call->status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
          changed.NotifyAll();
        });
  }
  {
    // The model stands still: what is not in the queue is refused although nothing is served.
    MutexLock lock(&mutex);
    while (over < kCalls - 512) changed.Wait(&mutex);
    EXPECT_EQ(refused, over);
  }
  // Nothing here waits for a user. (The canary's ScoreTokens waits for a step of the model, which
  // stands still, and is not refused.)
  EXPECT_TRUE(Publish(1, MakeLora(1)).ok());
  {
    grpc::ClientContext context;
    v1::GetInfoResponse info;
    EXPECT_TRUE(stub_->GetInfo(&context, {}, &info).ok());
    EXPECT_EQ(info.newest().version(), 1);
    server_->SetServing(true);
    EXPECT_TRUE(
        rpc::CheckHealth(rpc::MakeChannel(server_->address()), "policy", absl::Seconds(20)).ok());
  }
  v1::ScoreTokensRequest canary;
  canary.add_pairs()->add_source_ids(5);
  canary.mutable_pairs(0)->add_target_ids(6);
  auto scored = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::ScoreTokensResponse response;
    return stub_->ScoreTokens(&context, canary, &response);
  });
  auto more = std::async(std::launch::async, [&] {
    v1::GenerateResponse response;
    return Generate(rollouts, &response);
  });
  model_.Release();
  EXPECT_TRUE(scored.get().ok());
  EXPECT_TRUE(run.get().ok());
  EXPECT_TRUE(more.get().ok()) << "rollouts have a queue of their own";
  MutexLock lock(&mutex);
  while (over < kCalls) changed.Wait(&mutex);
  int served = 0;
  for (const auto& call : calls) {
    served += call->status.ok();
    EXPECT_EQ(call->response.summary(), call->status.ok() ? "5 6 7 1" : "");
  }
  EXPECT_EQ(served, 512);
  EXPECT_EQ(refused, kCalls - 512);
}

TEST_F(PolicyServiceTest, AUserWhoLeavesFreesTheRow) {
  v1::GenerateStreamRequest request;
  request.mutable_prompt()->set_text("5 60");
  // The server may notice only when the row has ended by itself: then once more.
  do {
    model_.Hold();
    grpc::ClientContext context;
    auto reader = stub_->GenerateStream(&context, request);
    model_.WaitUntilHeld();
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
    model_.Release();
    v1::GenerateResponse response;
    ASSERT_TRUE(Generate(MakeRequest("5 8"), &response).ok());
  } while (!absl::StrContains(metrics_.Text(), "mellow_policy_dropped_total 1\n"));
}

TEST_F(PolicyServiceTest, OversizedMessageIsRefusedAndTheServiceStaysUp) {
  v1::SummarizeRequest request;
  request.set_dialogue(std::string(65 << 20, 'x'));
  auto stub = v1::PolicyService::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::SummarizeResponse response;
  EXPECT_EQ(stub->Summarize(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::GenerateResponse generated;
  EXPECT_TRUE(Generate(MakeRequest("5 8"), &generated).ok());
}

TEST_F(PolicyServiceTest, EveryCallIsCountedWithItsCode) {
  v1::GenerateResponse response;
  (void)Generate({}, &response);
  (void)Generate(MakeRequest("5 8"), &response);
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("mellow_rpc_server_handled_total{code=\"INVALID_ARGUMENT\",method=\"/"
                              "mellow.policy.v1.PolicyService/Generate\"} 1"));
  EXPECT_THAT(text, HasSubstr("mellow_rpc_server_handled_total{code=\"OK\",method=\"/"
                              "mellow.policy.v1.PolicyService/Generate\"} 1"));
  EXPECT_THAT(text, HasSubstr("mellow_policy_tokens_total{lane=\"user\"} 4"));
}

TEST_F(PolicyServiceTest, AValueHeadOfTheRequestGivesEveryTokenItsValue) {
  nn::ValueHead head{.weight = std::vector<float>(model_.config().d_model), .bias = 0.5f};
  head.weight[0] = 2;
  v1::GenerateRequest request = MakeRequest("5 8");
  v1::GenerateResponse response;
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_THAT(response.generations(0).values(), ::testing::IsEmpty()) << "nobody asked";
  request.set_value_head(nn::SerializeValueHead(head));
  ASSERT_TRUE(Generate(request, &response).ok());
  EXPECT_THAT(response.generations(0).ids(), ElementsAre(5, 6, 7, 1));
  EXPECT_THAT(response.generations(0).values(), ElementsAre(0.5f, 2.5f, 4.5f, 6.5f));

  const auto expect = [&](const std::string& part) {
    const grpc::Status status = Generate(request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(part));
  };
  request.mutable_sampling()->set_num_beams(2);
  expect("value_head: values are of one path, sampling.num_beams is 2");
  request.clear_sampling();
  request.set_value_head("no file");
  expect("value_head");
  head.weight.pop_back();
  request.set_value_head(nn::SerializeValueHead(head));
  expect("v_head.summary.weight");
}

TEST_F(PolicyServiceTest, InfoTellsTheHashOfTheModelsFiles) {
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  ASSERT_TRUE(stub_->GetInfo(&context, {}, &response).ok());
  EXPECT_EQ(response.model_sha256(),
            *nn::HashModelFolder(SourceTree("/deploy/models/mini-summarizer")));
}

TEST_F(PolicyServiceTest, InfoTellsWhatOfTheModelNobodyKnows) {
  model_.mutable_config()->warnings.push_back("config.json: key \"novelty\" (1) is not known");
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  ASSERT_TRUE(stub_->GetInfo(&context, {}, &response).ok());
  EXPECT_THAT(response.warnings(),
              ::testing::ElementsAre("config.json: key \"novelty\" (1) is not known"));
}

TEST_F(PolicyServiceTest, EveryMethodCountsAgainstTheLimitsOfItsClient) {
  const auto make = [&](rpc::CallLimiter* limiter) {
    return std::make_unique<PolicyServiceImpl>(options_, "cpu", &model_, &model_hash_, &tokenizer_,
                                               &adapters_, &engine_, &metrics_, limiter);
  };
  EXPECT_THAT(mellow::testing::MethodsWithoutLimits(make, v1::PolicyService::service_full_name()),
              ::testing::IsEmpty());
}

}  // namespace
}  // namespace mellow::policy
