// Texts of a reward in whose batch one allocation fails, at every place where one can: each ends
// with its logits or with RESOURCE_EXHAUSTED, and the engine goes on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "services/reward/reward_engine.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/fake_classifier.h"

namespace mellow::reward {
namespace {

using ::mellow::testing::FailingNew;
using Logits = absl::StatusOr<std::vector<float>>;

TEST(FailedAllocationTest, InTheEngineItIsTheErrorOfTheTextsThatItWorkedOn) {
  testing::FakeClassifier model;
  obs::Metrics metrics;
  RewardEngine engine(&model, {.max_batch_tokens = 3}, &metrics);
  int refused = 0;
  const auto score = [&](int64_t fail_at) {
    constexpr size_t kTexts = 4;
    std::vector<ScoreJob> jobs(kTexts);
    std::vector<std::future<Logits>> futures;
    for (ScoreJob& job : jobs) {
      job.ids = {0, 5, 2};
      // Asked for each text, in the engine's thread; the first one lets what follows fail.
      job.cancelled = [fail_at, first = futures.empty()] {
        if (first && fail_at > 0) FailingNew::Arm(fail_at);
        return false;
      };
      auto promise = std::make_shared<std::promise<Logits>>();
      futures.push_back(promise->get_future());
      job.done = [promise](Logits logits) { promise->set_value(std::move(logits)); };
    }
    auto places = engine.Reserve(Lane::kUser, kTexts);
    ASSERT_TRUE(places.ok()) << places.status();
    ASSERT_TRUE(engine.Submit(std::move(jobs), places->get()).ok());
    for (auto& future : futures) {
      const Logits logits = future.get();
      EXPECT_TRUE(logits.ok() || absl::IsResourceExhausted(logits.status())) << logits.status();
      refused += !logits.ok();
    }
  };
  for (int64_t at = 1; at <= 60; ++at) {
    SCOPED_TRACE(at);
    score(at);
  }
  FailingNew::Disarm();
  EXPECT_GT(refused, 20) << "or nothing was disturbed";
  refused = 0;
  score(0);
  EXPECT_EQ(refused, 0);
}

}  // namespace
}  // namespace mellow::reward
