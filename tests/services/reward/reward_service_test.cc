#include "services/reward/reward_service.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>

#include "absl/strings/match.h"
#include "common/rpc/server.h"
#include "tests/testing/fake_classifier.h"
#include "tests/testing/limited_methods.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/wait_until.h"

namespace mellow::reward {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;

// A letter is its number, between <s> (0) and </s> (2).
class LetterTokenizer : public text::Tokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text,
                                              int max_tokens) const override {
    ++calls;
    if (text == "\xff") return absl::InvalidArgumentError("not UTF-8 at byte 0");
    std::vector<int32_t> ids = {0};
    for (char c : text)
      if (max_tokens == 0 || static_cast<int>(ids.size()) < max_tokens - 1) ids.push_back(c - 'a');
    ids.push_back(2);
    return ids;
  }
  absl::StatusOr<std::vector<int32_t>> EncodePair(absl::string_view text, absl::string_view pair,
                                                  int max_tokens) const override {
    auto more = Encode(pair, 0);
    if (!more.ok()) return more;
    more->front() = 2;  // the second text opens with </s>
    const int rest = static_cast<int>(more->size());
    auto ids = Encode(text, max_tokens > 0 ? std::max(2, max_tokens - rest) : 0);
    if (ids.ok()) ids->insert(ids->end(), more->begin(), more->end());
    return ids;
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t>, bool) const override { return ""; }
  int vocab_size() const override { return 64; }

  mutable std::atomic<int> calls = 0;
};

class RewardServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server =
        rpc::Server::Start({}, {&service_}, {v1::RewardService::service_full_name()}, &metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::RewardService::NewStub(server_->InProcessChannel());
  }
  grpc::Status Score(const std::vector<std::string>& texts, v1::ScoreResponse* response) {
    v1::ScoreRequest request;
    for (const std::string& text : texts) request.add_texts(text);
    grpc::ClientContext context;
    return stub_->Score(&context, request, response);
  }

  testing::FakeClassifier model_;
  LetterTokenizer tokenizer_;
  obs::Metrics metrics_;
  RewardEngine engine_{&model_, {}, &metrics_};
  nn::ModelHash model_hash_{SourceTree("/deploy/models/mini-toxicity")};
  RewardServiceImpl service_{{},           "cpu",       /*toxic=*/1, &model_,
                             &model_hash_, &tokenizer_, &engine_,    &metrics_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::RewardService::Stub> stub_;
};

TEST_F(RewardServiceTest, ScoresLogitsProbabilitiesLabelAndToxicity) {
  v1::ScoreResponse response;
  ASSERT_TRUE(Score({"ac", "aa", ""}, &response).ok());
  EXPECT_THAT(response.labels(), ElementsAre("nothate", "hate"));
  EXPECT_THAT(response.scores(0).logits(), ElementsAre(0, 2));
  EXPECT_THAT(response.scores(0).toxicity(), FloatNear(0.880797f, 1e-6));
  EXPECT_THAT(response.scores(0).probabilities(),
              ElementsAre(FloatNear(0.119203f, 1e-6), FloatNear(0.880797f, 1e-6)));
  EXPECT_EQ(response.scores(0).label(), "hate");
  EXPECT_EQ(response.scores(1).label(), "nothate");
  EXPECT_FALSE(response.scores(2).truncated()) << "an empty text has a score";
}

TEST_F(RewardServiceTest, ToxicityOfUsersAndOfRolloutsIsCountedApart) {
  v1::ScoreRequest request;
  request.add_texts("ac");  // 0.88
  request.add_texts("aa");  // 0.5
  request.set_lane(v1::LANE_ROLLOUT);
  grpc::ClientContext context;
  v1::ScoreResponse response;
  ASSERT_TRUE(stub_->Score(&context, request, &response).ok());
  ASSERT_TRUE(Score({"ac"}, &response).ok());
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("mellow_reward_toxicity_count{lane=\"rollout\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("mellow_reward_toxicity_sum{lane=\"rollout\"} 1.38"));
  EXPECT_THAT(text, HasSubstr("mellow_reward_toxicity_bucket{lane=\"rollout\",le=\"0.5\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mellow_reward_toxicity_count{lane=\"user\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mellow_reward_toxicity_sum{lane=\"user\"} 0.88"));
}

TEST_F(RewardServiceTest, ALongTextIsTruncatedAndSaysSo) {
  v1::ScoreResponse response;
  ASSERT_TRUE(Score({"abcdefgh", "abcdefghi"}, &response).ok());
  EXPECT_FALSE(response.scores(0).truncated());
  EXPECT_TRUE(response.scores(1).truncated());
  EXPECT_THAT(response.scores(1).logits(), ElementsAre(0, 7));
}

TEST_F(RewardServiceTest, ALongTextIsRefusedBeforeItIsTokenized) {
  v1::ScoreResponse response;
  EXPECT_TRUE(Score({std::string(64 << 10, 'a')}, &response).ok());
  const int before = tokenizer_.calls;
  const grpc::Status status = Score({"a", std::string((64 << 10) + 1, 'a')}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "texts[1]: 65537 bytes, at most 65536 (--max-text-bytes)");
  EXPECT_EQ(tokenizer_.calls, before);
}

TEST_F(RewardServiceTest, UsersBeyondTheQueueAreRefusedAndARunIsNot) {
  model_.Hold();
  v1::ScoreRequest request;
  request.add_texts("ab");
  auto running = std::async(std::launch::async, [&] {
    v1::ScoreResponse response;
    return Score({"ab"}, &response);
  });
  model_.WaitUntilHeld();
  std::vector<std::string> texts(2048, "ab");
  auto waiting = std::async(std::launch::async, [&] {
    v1::ScoreResponse response;
    return Score(texts, &response);
  });
  ASSERT_TRUE(testing::WaitUntil([&] {
    return absl::StrContains(metrics_.Text(), "mellow_reward_queue_depth{lane=\"user\"} 2048\n");
  }));
  v1::ScoreResponse response;
  const grpc::Status status = Score({"ab"}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("2048 of 2048"));
  EXPECT_EQ(Score(std::vector<std::string>(2049, "ab"), &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "they never fit";
  request.set_lane(v1::LANE_ROLLOUT);
  auto rollout = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::ScoreResponse response;
    return stub_->Score(&context, request, &response);
  });
  grpc::ClientContext context;
  v1::GetInfoResponse info;
  EXPECT_TRUE(stub_->GetInfo(&context, {}, &info).ok());
  model_.Release();
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(waiting.get().ok());
  EXPECT_TRUE(rollout.get().ok());
}

TEST_F(RewardServiceTest, ScoresTextPairs) {
  v1::ScoreRequest request;
  for (const char* text : {"ab", "ab", "abcdef"}) request.add_texts(text);
  for (const char* pair : {"ad", "", "af"}) request.add_text_pairs(pair);
  grpc::ClientContext context;
  v1::ScoreResponse response;
  ASSERT_TRUE(stub_->Score(&context, request, &response).ok());
  EXPECT_EQ(response.scores(0).logits(1), 3) << "the last letter of <s>ab</s></s>ad</s>";
  EXPECT_EQ(response.scores(1).logits(1), 1) << "an empty one is none";
  EXPECT_EQ(response.scores(2).logits(1), 5);
  EXPECT_TRUE(response.scores(2).truncated()) << "the longer text is cut to the window of 10";
  EXPECT_FALSE(response.scores(0).truncated());
  EXPECT_THAT(model_.batches(), ElementsAre(::testing::UnorderedElementsAre(8u, 4u, 10u)));
}

TEST_F(RewardServiceTest, TextPairsAreAsManyAsTexts) {
  v1::ScoreRequest request;
  request.add_texts("a");
  request.add_text_pairs("a");
  request.add_text_pairs("a");
  grpc::ClientContext context;
  v1::ScoreResponse response;
  const grpc::Status status = stub_->Score(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "text_pairs: 2 for 1 texts");
}

TEST_F(RewardServiceTest, AnUnknownLaneIsNamed) {
  v1::ScoreRequest request;
  request.add_texts("a");
  request.set_lane(static_cast<v1::Lane>(7));
  grpc::ClientContext context;
  v1::ScoreResponse response;
  const grpc::Status status = stub_->Score(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "lane: 7: unknown");
}

TEST_F(RewardServiceTest, BadTextsAreNamed) {
  v1::ScoreResponse response;
  EXPECT_EQ(Score({}, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  // proto3 strings are UTF-8 by definition, so bytes that are not never reach the wire: the stub
  // itself refuses them.
  EXPECT_TRUE(Score({"a"}, &response).ok());
}

TEST_F(RewardServiceTest, InfoTellsTheHashOfTheModelsFilesAndItsLabels) {
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  ASSERT_TRUE(stub_->GetInfo(&context, {}, &response).ok());
  EXPECT_EQ(response.model_sha256(),
            *nn::HashModelFolder(SourceTree("/deploy/models/mini-toxicity")));
  EXPECT_EQ(response.toxic_label(), "hate");
  EXPECT_EQ(response.capacity().toxic_label(), "hate");
  EXPECT_EQ(response.problem_type(), "single_label_classification");
}

TEST_F(RewardServiceTest, AJudgeWithoutAToxicLabelTellsLogitsAlone) {
  RewardServiceImpl judge({}, "cpu", /*toxic=*/std::nullopt, &model_, &model_hash_, &tokenizer_,
                          &engine_, &metrics_);
  auto server =
      rpc::Server::Start({}, {&judge}, {v1::RewardService::service_full_name()}, &metrics_);
  ASSERT_TRUE(server.ok()) << server.status();
  stub_ = v1::RewardService::NewStub((*server)->InProcessChannel());
  v1::ScoreResponse response;
  ASSERT_TRUE(Score({"ac"}, &response).ok());
  EXPECT_THAT(response.scores(0).logits(), ElementsAre(0, 2));
  EXPECT_EQ(response.scores(0).toxicity(), 0);
  EXPECT_THAT(metrics_.Text(), HasSubstr("mellow_reward_toxicity_count{lane=\"user\"} 0\n"));
  grpc::ClientContext context;
  v1::GetInfoResponse info;
  ASSERT_TRUE(stub_->GetInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.toxic_label(), "");
  EXPECT_EQ(info.capacity().toxic_label(), "");
  EXPECT_THAT(info.labels(), ElementsAre("nothate", "hate"));
}

TEST_F(RewardServiceTest, InfoTellsWhatOfTheModelNobodyKnows) {
  model_.WarnOf("config.json: key \"novelty\" (1) is not known");
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  ASSERT_TRUE(stub_->GetInfo(&context, {}, &response).ok());
  EXPECT_THAT(response.warnings(),
              ::testing::ElementsAre("config.json: key \"novelty\" (1) is not known"));
}

TEST_F(RewardServiceTest, EveryMethodCountsAgainstTheLimitsOfItsClient) {
  const auto make = [&](rpc::CallLimiter* limiter) {
    return std::make_unique<RewardServiceImpl>(RewardOptions{}, "cpu", /*toxic=*/1, &model_,
                                               &model_hash_, &tokenizer_, &engine_, &metrics_,
                                               limiter);
  };
  EXPECT_THAT(mellow::testing::MethodsWithoutLimits(make, v1::RewardService::service_full_name()),
              ::testing::IsEmpty());
}

}  // namespace
}  // namespace mellow::reward
