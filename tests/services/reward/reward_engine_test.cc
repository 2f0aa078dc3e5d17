#include "services/reward/reward_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/testing/fake_classifier.h"

namespace mellow::reward {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<ScoreJob> Jobs(std::vector<std::vector<int32_t>> texts) {
  std::vector<ScoreJob> jobs;
  for (auto& ids : texts) jobs.push_back({std::move(ids), SteadyTime::InfiniteFuture(), nullptr});
  return jobs;
}

TEST(RewardEngineTest, AnswersInTheOrderOfTheRequestWhateverTheBatches) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.max_batch_tokens = 8}, &metrics);
  auto futures = engine.Submit(Jobs({{0, 9, 9, 9, 4, 2}, {0, 5, 2}, {0, 6, 2}}));
  ASSERT_TRUE(futures.ok());
  EXPECT_THAT(*(*futures)[0].get(), ElementsAre(0, 4));
  EXPECT_THAT(*(*futures)[1].get(), ElementsAre(0, 5));
  EXPECT_THAT(*(*futures)[2].get(), ElementsAre(0, 6));
  EXPECT_THAT(model.batches(), ElementsAre(ElementsAre(3, 3), ElementsAre(6)));
}

TEST(RewardEngineTest, MetricsSayTheCapacityOfTheQueue) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  const RewardEngine engine(&model, {.queue_capacity = 5}, &metrics);
  EXPECT_THAT(metrics.Text(), HasSubstr("mellow_reward_queue_capacity 5\n"));
}

TEST(RewardEngineTest, AFullQueueRefusesTheWholeRequest) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.queue_capacity = 2}, &metrics);
  model.Hold();
  auto running = engine.Submit(Jobs({{0, 1, 2}}));
  model.WaitUntilHeld();
  auto waiting = engine.Submit(Jobs({{0, 1, 2}}));
  ASSERT_TRUE(waiting.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(engine.Submit(Jobs({{0, 1, 2}, {0, 1, 2}})).status()));
  model.Release();
  EXPECT_TRUE((*waiting)[0].get().ok());
}

TEST(RewardEngineTest, NobodyWaitingCostsNoCompute) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {}, &metrics);
  model.Hold();
  auto running = engine.Submit(Jobs({{0, 1, 2}}));
  model.WaitUntilHeld();
  std::vector<ScoreJob> jobs = Jobs({{0, 1, 1, 2}, {0, 1, 1, 1, 2}});
  jobs[0].deadline = SteadyTime::InfinitePast();
  jobs[1].cancelled = [] { return true; };
  auto gone = engine.Submit(std::move(jobs));
  model.Release();
  EXPECT_TRUE(absl::IsDeadlineExceeded((*gone)[0].get().status()));
  EXPECT_TRUE(absl::IsCancelled((*gone)[1].get().status()));
  EXPECT_THAT(model.batches(), ElementsAre(ElementsAre(3)));
}

TEST(RewardEngineTest, DrainAnswersWhatWasTaken) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {}, &metrics);
  auto taken = engine.Submit(Jobs({{0, 1, 2}}));
  engine.Drain();
  EXPECT_TRUE(absl::IsUnavailable(engine.Submit(Jobs({{0, 1, 2}})).status()));
  EXPECT_TRUE((*taken)[0].get().ok());
}

}  // namespace
}  // namespace mellow::reward
