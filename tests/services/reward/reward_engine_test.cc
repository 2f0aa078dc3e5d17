#include "services/reward/reward_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/time/clock.h"
#include "tests/testing/fake_classifier.h"

namespace mellow::reward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<ScoreJob> Jobs(std::vector<std::vector<int32_t>> texts) {
  std::vector<ScoreJob> jobs;
  for (auto& ids : texts)
    jobs.push_back({std::move(ids), SteadyTime::InfiniteFuture(), nullptr, nullptr});
  return jobs;
}

using Logits = absl::StatusOr<std::vector<float>>;

absl::StatusOr<std::vector<std::future<Logits>>> Submit(RewardEngine& engine,
                                                        std::vector<ScoreJob> jobs,
                                                        Lane lane = Lane::kUser) {
  std::vector<std::future<Logits>> futures;
  for (ScoreJob& job : jobs) {
    auto promise = std::make_shared<std::promise<Logits>>();
    futures.push_back(promise->get_future());
    job.done = [promise](Logits logits) { promise->set_value(std::move(logits)); };
  }
  auto places = engine.Reserve(lane, jobs.size());
  if (!places.ok()) return places.status();
  if (absl::Status status = engine.Submit(std::move(jobs), places->get()); !status.ok())
    return status;
  return futures;
}

TEST(RewardEngineTest, AnswersInTheOrderOfTheRequestWhateverTheBatches) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.max_batch_tokens = 8}, &metrics);
  auto futures = Submit(engine, Jobs({{0, 9, 9, 9, 4, 2}, {0, 5, 2}, {0, 6, 2}}));
  ASSERT_TRUE(futures.ok());
  EXPECT_THAT(*(*futures)[0].get(), ElementsAre(0, 4));
  EXPECT_THAT(*(*futures)[1].get(), ElementsAre(0, 5));
  EXPECT_THAT(*(*futures)[2].get(), ElementsAre(0, 6));
  EXPECT_THAT(model.batches(), ElementsAre(ElementsAre(3, 3), ElementsAre(6)));
}

TEST(RewardEngineTest, LogitsThatAreNotFiniteFailTheirOwnTextAlone) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {}, &metrics);
  auto futures = Submit(engine, Jobs({{0, 5, 2}, {0, testing::FakeClassifier::kSpoiled, 2}}));
  ASSERT_TRUE(futures.ok());
  EXPECT_THAT(*(*futures)[0].get(), ElementsAre(0, 5));
  const absl::Status status = (*futures)[1].get().status();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("logits are not finite"));
}

TEST(RewardEngineTest, MetricsSayTheCapacityOfTheQueue) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  const RewardEngine engine(&model, {.queue_capacity = 5}, &metrics);
  EXPECT_THAT(metrics.Text(), HasSubstr("mellow_reward_queue_capacity{lane=\"user\"} 5\n"));
}

TEST(RewardEngineTest, AFullQueueRefusesTheWholeRequest) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.queue_capacity = 2}, &metrics);
  model.Hold();
  auto running = Submit(engine, Jobs({{0, 1, 2}}));
  model.WaitUntilHeld();
  auto waiting = Submit(engine, Jobs({{0, 1, 2}}));
  ASSERT_TRUE(waiting.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Submit(engine, Jobs({{0, 1, 2}, {0, 1, 2}})).status()));
  model.Release();
  EXPECT_TRUE((*waiting)[0].get().ok());
}

TEST(RewardEngineTest, UsersAndRolloutsHaveTheirOwnRoomAndTakeTurns) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.max_batch_tokens = 3, .queue_capacity = 300}, &metrics);
  model.Hold();
  auto running = Submit(engine, Jobs({{0, 1, 2}}));
  model.WaitUntilHeld();
  auto users = Submit(engine, Jobs(std::vector<std::vector<int32_t>>(300, {0, 2, 1, 2})));
  ASSERT_TRUE(users.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Submit(engine, Jobs({{0, 2}})).status()));
  // Counted as the answer comes: the engine goes on at once.
  std::promise<size_t> batches_before;
  std::vector<ScoreJob> rollout = Jobs({{0, 1, 1, 1, 2}});
  rollout[0].done = [&](absl::StatusOr<std::vector<float>> logits) {
    EXPECT_TRUE(logits.ok());
    batches_before.set_value(model.batches().size());
  };
  const auto places = engine.Reserve(Lane::kRollout, 1);
  ASSERT_TRUE(places.ok());
  ASSERT_TRUE(engine.Submit(std::move(rollout), places->get()).ok());
  model.Release();
  EXPECT_LE(batches_before.get_future().get(), 257u) << "among the first 256 that were taken";
}

TEST(RewardEngineTest, PlacesThatAreNotUsedAreGivenBack) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.queue_capacity = 2}, &metrics);
  {
    const auto places = engine.Reserve(Lane::kUser, 2);
    ASSERT_TRUE(places.ok());
    EXPECT_TRUE(absl::IsResourceExhausted(engine.Reserve(Lane::kUser, 1).status()));
    EXPECT_TRUE(engine.Reserve(Lane::kRollout, 2).ok());
  }
  EXPECT_TRUE(engine.Reserve(Lane::kUser, 2).ok());
}

TEST(RewardEngineTest, NobodyWaitingCostsNoCompute) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {}, &metrics);
  model.Hold();
  auto running = Submit(engine, Jobs({{0, 1, 2}}));
  model.WaitUntilHeld();
  std::vector<ScoreJob> jobs = Jobs({{0, 1, 1, 2}, {0, 1, 1, 1, 2}});
  jobs[0].deadline = SteadyTime::InfinitePast();
  jobs[1].cancelled = [] { return true; };
  auto gone = Submit(engine, std::move(jobs));
  model.Release();
  EXPECT_TRUE(absl::IsDeadlineExceeded((*gone)[0].get().status()));
  EXPECT_TRUE(absl::IsCancelled((*gone)[1].get().status()));
  EXPECT_THAT(model.batches(), ElementsAre(ElementsAre(3)));
}

TEST(RewardEngineTest, DrainAnswersWhatWasTaken) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {}, &metrics);
  auto taken = Submit(engine, Jobs({{0, 1, 2}}));
  engine.Drain();
  EXPECT_TRUE(absl::IsUnavailable(Submit(engine, Jobs({{0, 1, 2}})).status()));
  EXPECT_TRUE((*taken)[0].get().ok());
}

}  // namespace
}  // namespace mellow::reward
