#include "services/policy/policy_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <limits>

#include "common/base/steady_time.h"
#include "tests/testing/fake_seq2seq_model.h"

namespace mellow::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Sequence = absl::StatusOr<nn::GeneratedSequence>;
using LogProbs = absl::StatusOr<std::vector<std::vector<float>>>;

// Counts from `first` up to `last`, then </s>.
GenerateJob MakeJob(int32_t first, int32_t last, Lane lane = Lane::kUser, int max_new_tokens = 16) {
  GenerateJob job;
  job.source_ids = {first, last};
  job.params.max_new_tokens = max_new_tokens;
  job.adapter = std::make_shared<const ServedAdapter>();
  job.lane = lane;
  return job;
}

template <typename... Jobs>
std::vector<GenerateJob> Batch(Jobs... jobs) {
  std::vector<GenerateJob> batch;
  (batch.push_back(std::move(jobs)), ...);
  return batch;
}

class PolicyEngineTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<std::future<Sequence>>> Submit(std::vector<GenerateJob> jobs) {
    std::vector<std::future<Sequence>> futures;
    for (GenerateJob& job : jobs) {
      auto promise = std::make_shared<std::promise<Sequence>>();
      futures.push_back(promise->get_future());
      job.done = [promise](Sequence sequence) { promise->set_value(std::move(sequence)); };
    }
    if (absl::Status status = engine_->Submit(std::move(jobs)); !status.ok()) return status;
    return futures;
  }
  absl::StatusOr<std::future<LogProbs>> Submit(ScoreJob job) {
    auto promise = std::make_shared<std::promise<LogProbs>>();
    auto future = promise->get_future();
    job.done = [promise](LogProbs logprobs) { promise->set_value(std::move(logprobs)); };
    if (absl::Status status = engine_->Submit(std::move(job)); !status.ok()) return status;
    return future;
  }
  void Start(EngineOptions options) {
    engine_ = std::make_unique<PolicyEngine>(&model_, options, &metrics_);
  }
  std::future<Sequence> SubmitOne(GenerateJob job) {
    auto futures = Submit(Batch(std::move(job)));
    EXPECT_TRUE(futures.ok()) << futures.status();
    return std::move((*futures)[0]);
  }
  testing::FakeSeq2SeqModel model_;
  obs::Metrics metrics_;
  std::unique_ptr<PolicyEngine> engine_;
};

TEST_F(PolicyEngineTest, MetricsSayTheLimitsThatDepthsAreMeasuredAgainst) {
  Start({.max_rows = 7, .queue_capacity = 11});
  const std::string text = metrics_.Text();
  EXPECT_THAT(text, HasSubstr("mellow_policy_queue_capacity{lane=\"user\"} 11\n"));
  EXPECT_THAT(text, HasSubstr("mellow_policy_queue_capacity{lane=\"rollout\"} 11\n"));
  EXPECT_THAT(text, HasSubstr("mellow_policy_max_batch_rows 7\n"));
}

TEST_F(PolicyEngineTest, GeneratesUntilEosOrLength) {
  Start({});
  auto futures = Submit(Batch(MakeJob(5, 8), MakeJob(20, 60, Lane::kUser, /*max_new_tokens=*/4)));
  ASSERT_TRUE(futures.ok());
  const Sequence ended = (*futures)[0].get();
  const Sequence cut = (*futures)[1].get();
  ASSERT_TRUE(ended.ok());
  EXPECT_THAT(ended->ids, ElementsAre(5, 6, 7, 1));
  EXPECT_EQ(ended->finish, nn::FinishReason::kEos);
  EXPECT_EQ(ended->logprobs.size(), 4u);
  ASSERT_TRUE(cut.ok());
  EXPECT_THAT(cut->ids, ElementsAre(20, 21, 22, 23));
  EXPECT_EQ(cut->finish, nn::FinishReason::kLength);
}

TEST_F(PolicyEngineTest, LogitsThatAreNotFiniteFailTheirOwnSequenceAlone) {
  model_.Spoil(20);
  Start({});
  auto futures = Submit(Batch(MakeJob(5, 8), MakeJob(20, 24), MakeJob(30, 32)));
  ASSERT_TRUE(futures.ok());
  const Sequence spoiled = (*futures)[1].get();
  EXPECT_TRUE(absl::IsInternal(spoiled.status())) << spoiled.status();
  EXPECT_THAT(std::string(spoiled.status().message()), HasSubstr("logits are not finite"));
  EXPECT_THAT((*futures)[0].get()->ids, ElementsAre(5, 6, 7, 1));
  EXPECT_THAT((*futures)[2].get()->ids, ElementsAre(30, 31, 1));
}

TEST_F(PolicyEngineTest, NewRequestsJoinWhileOthersRun) {
  Start({});
  model_.Hold();
  auto first = SubmitOne(MakeJob(5, 40));
  model_.WaitUntilHeld();
  auto second = SubmitOne(MakeJob(10, 40));
  model_.Release();
  ASSERT_TRUE(first.get().ok());
  ASSERT_TRUE(second.get().ok());
  EXPECT_THAT(model_.rows_of_steps(), ::testing::Contains(2));
}

TEST_F(PolicyEngineTest, AdmitsUsersBeforeRollouts) {
  Start({.max_rows = 1});
  model_.Hold();
  auto running = SubmitOne(MakeJob(30, 31, Lane::kRollout));
  model_.WaitUntilHeld();
  auto rollout = SubmitOne(MakeJob(40, 41, Lane::kRollout));
  auto user = SubmitOne(MakeJob(50, 51, Lane::kUser));
  model_.Release();
  ASSERT_TRUE(rollout.get().ok());
  ASSERT_TRUE(user.get().ok());
  EXPECT_THAT(model_.encoded(), ElementsAre(30, 50, 40));
}

// Every job below costs 2 + max_new_tokens tokens, of which it uses as many as it counts.
TEST_F(PolicyEngineTest, AUserWhoWaitsForTokensIsNextWhateverElseWouldFit) {
  Start({.max_rows = 8, .max_batch_tokens = 40});
  model_.Hold();
  auto long_rollout = SubmitOne(MakeJob(30, 44, Lane::kRollout, /*max_new_tokens=*/16));
  model_.WaitUntilHeld();
  auto short_rollout = SubmitOne(MakeJob(20, 21, Lane::kRollout, /*max_new_tokens=*/4));
  auto long_user = SubmitOne(MakeJob(50, 51, Lane::kUser, /*max_new_tokens=*/30));
  auto short_user = SubmitOne(MakeJob(60, 61, Lane::kUser, /*max_new_tokens=*/2));
  model_.Release();
  ASSERT_TRUE(short_rollout.get().ok());
  ASSERT_TRUE(long_user.get().ok());
  ASSERT_TRUE(short_user.get().ok());
  ASSERT_TRUE(long_rollout.get().ok());
  EXPECT_THAT(model_.encoded(), ElementsAre(30, 50, 60, 20));
}

TEST_F(PolicyEngineTest, UsersWhoNeverStopComingLeaveARolloutInNine) {
  Start({.max_rows = 1});
  model_.Hold();
  std::vector<std::future<Sequence>> all;
  all.push_back(SubmitOne(MakeJob(10, 11)));
  model_.WaitUntilHeld();
  for (int i = 0; i < 3; ++i) all.push_back(SubmitOne(MakeJob(40 + i, 41 + i, Lane::kRollout)));
  for (int i = 0; i < 20; ++i) all.push_back(SubmitOne(MakeJob(11 + i, 12 + i)));
  model_.Release();
  for (auto& sequence : all) EXPECT_TRUE(sequence.get().ok());
  EXPECT_THAT(model_.encoded(), ElementsAre(10, 11, 12, 13, 14, 15, 16, 17, 18, 40, 19, 20, 21, 22,
                                            23, 24, 25, 26, 41, 27, 28, 29, 30, 42));
}

TEST_F(PolicyEngineTest, TokensStayFreeForUsersWhileRolloutsRun) {
  Start({.max_rows = 64, .max_batch_tokens = 80});  // 70 for rollouts
  model_.Hold();
  std::vector<std::future<Sequence>> rollouts;
  rollouts.push_back(SubmitOne(MakeJob(30, 44, Lane::kRollout, /*max_new_tokens=*/16)));
  model_.WaitUntilHeld();
  for (int i = 0; i < 10; ++i)
    rollouts.push_back(SubmitOne(MakeJob(20, 34, Lane::kRollout, /*max_new_tokens=*/16)));
  auto user = SubmitOne(MakeJob(50, 52, Lane::kUser, /*max_new_tokens=*/6));
  model_.Release();
  ASSERT_TRUE(user.get().ok());
  for (auto& rollout : rollouts) EXPECT_TRUE(rollout.get().ok());
  EXPECT_EQ(model_.encoded()[1], 50);  // no rollout had to end first
  EXPECT_THAT(model_.rows_of_steps(), ::testing::Each(::testing::Le(4)));
}

TEST_F(PolicyEngineTest, ARolloutLargerThanTheRolloutsPartRunsAsTheOnlyOne) {
  Start({.max_rows = 8, .max_batch_tokens = 40});
  EXPECT_TRUE(SubmitOne(MakeJob(30, 33, Lane::kRollout, /*max_new_tokens=*/38)).get().ok());
}

TEST_F(PolicyEngineTest, WhatNobodyWaitsForLeavesTheQueueAtOnce) {
  Start({.max_rows = 1, .queue_capacity = 2});
  std::atomic<bool> cancelled{false};
  model_.Hold();
  auto running = SubmitOne(MakeJob(5, 40, Lane::kUser, /*max_new_tokens=*/64));
  model_.WaitUntilHeld();
  auto first = SubmitOne(MakeJob(6, 7));
  GenerateJob second = MakeJob(41, 42);
  second.call.cancelled = [&] { return cancelled.load(); };
  auto behind = SubmitOne(std::move(second));
  cancelled = true;
  model_.Release();
  EXPECT_EQ(behind.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(running.get().ok());
}

TEST_F(PolicyEngineTest, FullQueueRefusesTheWholeBatchAtOnce) {
  Start({.max_rows = 1, .queue_capacity = 2});
  model_.Hold();
  auto running = SubmitOne(MakeJob(30, 31));
  model_.WaitUntilHeld();
  auto waiting = SubmitOne(MakeJob(31, 32));
  auto refused = Submit(Batch(MakeJob(5, 6), MakeJob(6, 7)));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  auto fits = Submit(Batch(MakeJob(5, 6)));
  EXPECT_TRUE(fits.ok());
  model_.Release();
  EXPECT_TRUE(waiting.get().ok());
  EXPECT_TRUE((*fits)[0].get().ok());
}

TEST_F(PolicyEngineTest, RefusesWhatCanNeverFit) {
  Start({.max_batch_tokens = 10});
  EXPECT_EQ(Submit(Batch(MakeJob(5, 6, Lane::kUser, /*max_new_tokens=*/9))).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PolicyEngineTest, ExpiredAndCancelledRequestsCostNoCompute) {
  Start({.max_rows = 1});
  model_.Hold();
  auto running = SubmitOne(MakeJob(30, 31));
  model_.WaitUntilHeld();
  GenerateJob late = MakeJob(40, 41);
  late.call.deadline = SteadyTime::Now() - absl::Seconds(1);
  GenerateJob cancelled = MakeJob(41, 42);
  cancelled.call.cancelled = [] { return true; };
  auto late_future = SubmitOne(std::move(late));
  auto cancelled_future = SubmitOne(std::move(cancelled));
  model_.Release();
  EXPECT_EQ(late_future.get().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(cancelled_future.get().status().code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(running.get().ok());
  EXPECT_THAT(model_.encoded(), ElementsAre(30));
}

TEST_F(PolicyEngineTest, CancellationDuringComputeEndsTheSequence) {
  Start({});
  std::atomic<bool> cancelled{false};
  GenerateJob job = MakeJob(5, 1000, Lane::kUser, /*max_new_tokens=*/100000);
  job.params.max_new_tokens = 20000;
  job.call.cancelled = [&] { return cancelled.load(); };
  job.on_token = [&](const nn::GeneratedSequence& so_far) { cancelled = so_far.ids.size() >= 3; };
  job.source_ids[0] = 2;
  EXPECT_EQ(SubmitOne(std::move(job)).get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(model_.rows_of_steps().size(), 10u);
}

TEST_F(PolicyEngineTest, AModelErrorReachesEveryCallerAndTheEngineGoesOn) {
  Start({});
  model_.FailWith(absl::InternalError("out of luck"));
  EXPECT_EQ(SubmitOne(MakeJob(5, 8)).get().status().message(), "out of luck");
  model_.FailWith(absl::OkStatus());
  EXPECT_TRUE(SubmitOne(MakeJob(5, 8)).get().ok());
}

TEST_F(PolicyEngineTest, DrainFinishesWhatWasTakenAndTakesNoMore) {
  Start({});
  model_.Hold();
  auto taken = SubmitOne(MakeJob(5, 8));
  model_.WaitUntilHeld();
  engine_->Drain();
  EXPECT_EQ(Submit(Batch(MakeJob(5, 8))).status().code(), absl::StatusCode::kUnavailable);
  model_.Release();
  EXPECT_TRUE(taken.get().ok());
}

TEST_F(PolicyEngineTest, ScoresWhileSequencesRun) {
  Start({});
  model_.Hold();
  auto running = SubmitOne(MakeJob(5, 40));
  model_.WaitUntilHeld();
  ScoreJob job;
  job.pairs = {{{7, 8}, {1, 2, 3}}};
  job.adapter = std::make_shared<const ServedAdapter>();
  auto scored = Submit(std::move(job));
  ASSERT_TRUE(scored.ok());
  model_.Release();
  const auto logprobs = scored->get();
  ASSERT_TRUE(logprobs.ok());
  EXPECT_THAT((*logprobs)[0], ElementsAre(-7, -7, -7));
  EXPECT_TRUE(running.get().ok());
}

ScoreJob MakeScore(int32_t first, int pairs, size_t target_tokens) {
  ScoreJob job;
  for (int i = 0; i < pairs; ++i)
    job.pairs.push_back({{first + i, 2}, std::vector<int32_t>(target_tokens, 3)});
  job.adapter = std::make_shared<const ServedAdapter>();
  return job;
}

TEST_F(PolicyEngineTest, ALargeScoreIsComputedInPiecesBetweenSteps) {
  Start({});
  model_.Hold();
  auto running = SubmitOne(MakeJob(5, 60, Lane::kUser, /*max_new_tokens=*/64));
  model_.WaitUntilHeld();
  auto large = Submit(MakeScore(/*first=*/100, /*pairs=*/8, /*target_tokens=*/100));
  auto small = Submit(MakeScore(/*first=*/200, /*pairs=*/1, /*target_tokens=*/1));
  ASSERT_TRUE(large.ok());
  ASSERT_TRUE(small.ok());
  model_.Release();
  const auto logprobs = large->get();
  ASSERT_TRUE(logprobs.ok()) << logprobs.status();
  ASSERT_EQ(logprobs->size(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_THAT((*logprobs)[i], ::testing::Each(-100.0f - i));
  ASSERT_TRUE(small->get().ok());
  ASSERT_TRUE(running.get().ok());
  // Two pairs of 102 tokens each; the small one has its turn after the first.
  EXPECT_THAT(model_.scored(), ElementsAre(2, 1, 2, 2, 2));
}

TEST_F(PolicyEngineTest, ACancelledScoreStopsAtTheNextPiece) {
  Start({});
  std::atomic<int> asked{0};
  ScoreJob job = MakeScore(/*first=*/100, /*pairs=*/100, /*target_tokens=*/300);
  job.call.cancelled = [&] { return ++asked > 3; };
  auto scored = Submit(std::move(job));
  ASSERT_TRUE(scored.ok());
  EXPECT_EQ(scored->get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(model_.scored().size(), 3u);
}

// Takes `pieces` pieces for what it is asked to do in pieces; `at_piece` is called before the
// others have their turn after each, in the engine's thread.
class PiecewiseModel : public testing::FakeSeq2SeqModel {
 public:
  absl::StatusOr<std::vector<std::unique_ptr<nn::DecodeRow>>> EncodeInPieces(
      absl::Span<const nn::EncodeRequest> requests, const Between& between) override {
    if (absl::Status status = Work(between); !status.ok()) return status;
    return Encode(requests);
  }
  absl::StatusOr<std::vector<std::vector<float>>> ScoreTokensInPieces(
      absl::Span<const nn::ScoreRequest> requests, const Between& between) override {
    if (absl::Status status = Work(between); !status.ok()) return status;
    return ScoreTokens(requests);
  }

  std::function<void(int)> at_piece = [](int) {};
  int pieces = 20;
  std::atomic<int> worked = 0;

 private:
  absl::Status Work(const Between& between) {
    for (int i = 0; i < pieces; ++i) {
      at_piece(i);
      if (absl::Status status = between(); !status.ok()) return status;
      ++worked;
    }
    return absl::OkStatus();
  }
};

class LongPromptTest : public PolicyEngineTest {
 protected:
  LongPromptTest() {
    engine_ = std::make_unique<PolicyEngine>(&pieces_, EngineOptions{}, &metrics_);
  }
  ~LongPromptTest() override { engine_.reset(); }

  static GenerateJob LongJob(int32_t first, int32_t last) {
    GenerateJob job = MakeJob(first, last);
    job.source_ids.resize(2000, 3);
    return job;
  }
  static ScoreJob LongScore() {
    ScoreJob job = MakeScore(/*first=*/100, /*pairs=*/1, /*target_tokens=*/2000);
    return job;
  }

  PiecewiseModel pieces_;
};

TEST_F(LongPromptTest, OthersStepAndStartBetweenItsPieces) {
  std::vector<std::future<Sequence>> short_ones;
  std::vector<std::future<Sequence>> second;
  bool done_in_between = false;
  bool asked = false;
  pieces_.at_piece = [&](int piece) {
    if (asked) return;
    if (piece == 2) {
      second.push_back(SubmitOne(LongJob(30, 32)));  // has its turn after the first
      short_ones.push_back(SubmitOne(MakeJob(50, 52)));
      short_ones.push_back(SubmitOne(MakeJob(40, 42, Lane::kRollout)));
    }
    if (piece < 19) return;
    asked = true;
    done_in_between = true;
    for (const auto& future : short_ones)
      done_in_between &= future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  EXPECT_THAT(SubmitOne(LongJob(20, 22)).get()->ids, ElementsAre(20, 21, 1));
  EXPECT_THAT(second[0].get()->ids, ElementsAre(30, 31, 1));
  for (auto& future : short_ones) EXPECT_TRUE(future.get().ok());
  EXPECT_TRUE(done_in_between);
  EXPECT_THAT(pieces_.encoded(), ElementsAre(50, 40, 20, 30));
}

TEST_F(LongPromptTest, ManyShortOnesAtOnceAreALongWorkToo) {
  std::vector<GenerateJob> jobs;
  for (int i = 0; i < 10; ++i) {
    jobs.push_back(MakeJob(20, 22));
    jobs.back().source_ids.resize(200, 3);
  }
  auto futures = Submit(std::move(jobs));
  ASSERT_TRUE(futures.ok()) << futures.status();
  for (auto& future : *futures) EXPECT_THAT(future.get()->ids, ElementsAre(20, 21, 1));
  EXPECT_EQ(pieces_.worked, pieces_.pieces);
}

TEST_F(LongPromptTest, ItEndsAtThePieceAtWhichItsCallerHasGone) {
  std::atomic<bool> cancelled{false};
  pieces_.at_piece = [&](int piece) { cancelled = piece == 3; };
  GenerateJob job = LongJob(20, 22);
  job.call.cancelled = [&] { return cancelled.load(); };
  EXPECT_TRUE(absl::IsCancelled(SubmitOne(std::move(job)).get().status()));
  EXPECT_EQ(pieces_.worked, 3);
  EXPECT_THAT(pieces_.encoded(), ::testing::IsEmpty());
}

TEST_F(LongPromptTest, OthersStepAndAreScoredBetweenThePiecesOfALongPair) {
  std::vector<std::future<LogProbs>> scored;
  std::vector<std::future<Sequence>> generated;
  pieces_.at_piece = [&](int piece) {
    if (piece != 2) return;
    scored.push_back(*Submit(MakeScore(/*first=*/60, /*pairs=*/2, /*target_tokens=*/1)));
    generated.push_back(SubmitOne(MakeJob(50, 52)));
  };
  auto longest = Submit(LongScore());
  ASSERT_TRUE(longest.ok());
  EXPECT_TRUE(longest->get().ok());
  EXPECT_TRUE(scored[0].get().ok());
  EXPECT_TRUE(generated[0].get().ok());
  EXPECT_THAT(pieces_.scored(), ElementsAre(2, 1));
}

TEST_F(LongPromptTest, ALongPairEndsAtThePieceAtWhichItsCallerHasGone) {
  std::atomic<bool> cancelled{false};
  pieces_.at_piece = [&](int piece) { cancelled = piece == 3; };
  ScoreJob job = LongScore();
  job.call.cancelled = [&] { return cancelled.load(); };
  auto scored = Submit(std::move(job));
  ASSERT_TRUE(scored.ok());
  EXPECT_TRUE(absl::IsCancelled(scored->get().status()));
  EXPECT_EQ(pieces_.worked, 3);
}

TEST_F(LongPromptTest, TheEndOfTheEngineDoesNotWaitForIt) {
  pieces_.pieces = std::numeric_limits<int>::max();
  std::promise<void> begun;
  pieces_.at_piece = [&](int piece) {
    if (piece == 0) begun.set_value();
  };
  auto sequence = SubmitOne(LongJob(20, 22));
  begun.get_future().wait();
  engine_.reset();
  EXPECT_TRUE(absl::IsUnavailable(sequence.get().status()));
}

}  // namespace
}  // namespace mellow::policy
