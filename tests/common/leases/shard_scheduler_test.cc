#include "common/leases/shard_scheduler.h"

#include <gtest/gtest.h>

#include <map>

#include "common/base/steady_time.h"

namespace mellow {
namespace {

const SteadyTime kStart = SteadyTime(absl::Seconds(1000));

ShardScheduler MakeScheduler(int shards, double work = 100) {
  return ShardScheduler(std::vector<double>(shards, work), /*lease=*/absl::Seconds(60));
}

// Plays a whole step on a manual clock: nodes work at their true speeds. Returns the shards done by
// each.
struct Played {
  std::map<std::string, int> shares;
  absl::Duration took;
};
Played Play(ShardScheduler* scheduler, const std::map<std::string, double>& speeds, double work) {
  Played played;
  SteadyTime now = kStart;
  std::map<SteadyTime, std::vector<ShardScheduler::Lease>> ends;
  while (!scheduler->done()) {
    while (const auto lease = scheduler->Next(now)) {
      ends[now + absl::Seconds(work / speeds.at(lease->node))].push_back(*lease);
    }
    if (ends.empty()) {
      ADD_FAILURE() << "nothing is leased and nothing is in flight";
      break;
    }
    now = ends.begin()->first;
    for (const auto& lease : ends.begin()->second) {
      EXPECT_EQ(scheduler->Complete(lease), ShardScheduler::Completion::kFirst);
      ++played.shares[lease.node];
    }
    ends.erase(ends.begin());
  }
  played.took = now - kStart;
  return played;
}

TEST(ShardSchedulerTest, SharesAreProportionalToSpeed) {
  ShardScheduler scheduler = MakeScheduler(24);
  scheduler.SetNode("fast", 300, /*measured=*/false, 1);
  scheduler.SetNode("slow", 100, /*measured=*/false, 1);
  const Played played = Play(&scheduler, {{"fast", 300}, {"slow", 100}}, 100);
  EXPECT_EQ(played.shares.at("fast"), 18);
  EXPECT_EQ(played.shares.at("slow"), 6);
  EXPECT_EQ(played.took, absl::Seconds(6)) << "24 shards of 100 at 400 per second";
}

TEST(ShardSchedulerTest, AThousandNodesOfManySpeedsShareTheWork) {
  ShardScheduler scheduler = MakeScheduler(3000);
  std::map<std::string, double> speeds;
  double sum = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string node = "node-" + std::to_string(i);
    speeds[node] = i % 10 == 0 ? 1000 + i : 100 + i / 100.0;
    sum += speeds[node];
    scheduler.SetNode(node, speeds[node], /*measured=*/true, 1);
  }
  const Played played = Play(&scheduler, speeds, 100);
  // The slow ones take a second for a shard: nobody begins one that a fast node would end sooner.
  EXPECT_LT(absl::ToDoubleSeconds(played.took), 3000 * 100 / sum + 1.0);
  EXPECT_GT(played.shares.at("node-990"), 5 * played.shares.at("node-991"));
}

TEST(ShardSchedulerTest, ASlowNodeLeavesTheLastShardToABusyFasterOne) {
  ShardScheduler scheduler = MakeScheduler(2);
  scheduler.SetNode("fast", 1000, /*measured=*/false, 1);
  scheduler.SetNode("slow", 10, /*measured=*/false, 1);
  const auto lease = scheduler.Next(kStart);
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(lease->node, "fast");
  EXPECT_FALSE(scheduler.Next(kStart).has_value()) << "slow would need 10 s, fast 0.2 s for both";
  EXPECT_EQ(scheduler.Complete(*lease), ShardScheduler::Completion::kFirst);
  const auto last = scheduler.Next(kStart + absl::Milliseconds(100));
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->node, "fast");
}

TEST(ShardSchedulerTest, AFastNodeThatIsOverdueLosesThePendingShardToAnIdleOne) {
  ShardScheduler scheduler = MakeScheduler(2);
  scheduler.SetNode("fast", 1000, /*measured=*/false, 1);
  scheduler.SetNode("slow", 10, /*measured=*/false, 1);
  ASSERT_TRUE(scheduler.Next(kStart).has_value());
  ASSERT_FALSE(scheduler.Next(kStart).has_value());
  const auto lease = scheduler.Next(kStart + absl::Seconds(30));
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(lease->node, "slow");
  EXPECT_EQ(lease->shard, 1);
}

TEST(ShardSchedulerTest, AMeasuredNodeIsLateByItsOwnPast) {
  ShardScheduler scheduler = MakeScheduler(3);
  scheduler.SetNode("a", 10, /*measured=*/true, 1);    // 10 s per shard
  scheduler.SetNode("b", 1000, /*measured=*/true, 1);  // 0.1 s
  scheduler.SetNode("c", 1, /*measured=*/true, 1);     // 100 s
  std::map<std::string, absl::Duration> leases;
  for (const char* node : {"a", "b", "c"}) {
    for (const char* other : {"a", "b", "c"}) {
      if (std::string(other) != node) scheduler.PauseNode(other);
    }
    const auto lease = scheduler.Next(kStart);
    ASSERT_TRUE(lease.has_value());
    leases[lease->node] = lease->deadline - kStart;
    scheduler.SetNode("a", 10, true, 1);
    scheduler.SetNode("b", 1000, true, 1);
    scheduler.SetNode("c", 1, true, 1);
  }
  EXPECT_EQ(leases["a"], absl::Seconds(40));
  EXPECT_EQ(leases["b"], ShardScheduler::kShortestLease);
  EXPECT_EQ(leases["c"], absl::Seconds(60)) << "never longer than the lease of the run";
}

TEST(ShardSchedulerTest, AShardThatIsNotOfferedYetWaits) {
  ShardScheduler scheduler({100, 100}, absl::Seconds(60), /*offered=*/false);
  scheduler.SetNode("a", 100, /*measured=*/false, 2);
  EXPECT_FALSE(scheduler.Next(kStart).has_value());
  EXPECT_EQ(scheduler.remaining(), 2);
  scheduler.Offer(1);
  EXPECT_EQ(scheduler.Next(kStart)->shard, 1);
  scheduler.Offer(1);
  EXPECT_FALSE(scheduler.Next(kStart).has_value()) << "it is leased already";
}

TEST(ShardSchedulerTest, ALateLeaseGoesToAnotherNodeAndTheFirstAnswerCounts) {
  ShardScheduler scheduler = MakeScheduler(1);
  scheduler.SetNode("a", 100, /*measured=*/false, 1);
  const auto first = scheduler.Next(kStart);
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(scheduler.Expire(kStart + absl::Seconds(59)).empty());
  const SteadyTime late = kStart + absl::Seconds(60);
  EXPECT_EQ(scheduler.Expire(late).size(), 1u);
  EXPECT_TRUE(scheduler.Expire(late).empty()) << "each is told once";
  EXPECT_FALSE(scheduler.Next(late).has_value()) << "a late node gets nothing";
  scheduler.SetNode("b", 100, /*measured=*/false, 1);
  const auto second = scheduler.Next(late);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->node, "b");
  EXPECT_EQ(second->shard, first->shard);
  EXPECT_EQ(scheduler.Complete(*first), ShardScheduler::Completion::kFirst);
  EXPECT_TRUE(scheduler.done());
  EXPECT_EQ(scheduler.Obsolete(), std::vector<int64_t>{second->id});
  EXPECT_EQ(scheduler.Complete(*second), ShardScheduler::Completion::kDuplicate);
  EXPECT_EQ(scheduler.remaining(), 0);
}

TEST(ShardSchedulerTest, AFailedLeaseIsPendingAgainOnce) {
  ShardScheduler scheduler = MakeScheduler(2);
  scheduler.SetNode("a", 100, /*measured=*/false, 2);
  const auto first = scheduler.Next(kStart);
  const auto second = scheduler.Next(kStart);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(scheduler.Next(kStart).has_value());
  scheduler.Fail(first->id);
  scheduler.Fail(first->id);
  const auto again = scheduler.Next(kStart);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->shard, first->shard);
  EXPECT_NE(again->id, first->id);
  EXPECT_FALSE(scheduler.Next(kStart).has_value());
}

TEST(ShardSchedulerTest, AnAnswerOfALeaseThatWasGivenUpStillCountsWhenItIsFirst) {
  ShardScheduler scheduler = MakeScheduler(1);
  scheduler.SetNode("a", 100, /*measured=*/false, 1);
  const auto lease = scheduler.Next(kStart);
  ASSERT_TRUE(lease.has_value());
  scheduler.Fail(lease->id);
  EXPECT_EQ(scheduler.Complete(*lease), ShardScheduler::Completion::kFirst);
  EXPECT_TRUE(scheduler.done());
  EXPECT_FALSE(scheduler.Next(kStart).has_value());
}

TEST(ShardSchedulerTest, APausedNodeGetsNothingUntilItIsSetAgain) {
  ShardScheduler scheduler = MakeScheduler(1);
  scheduler.SetNode("a", 100, /*measured=*/false, 1);
  scheduler.PauseNode("a");
  EXPECT_FALSE(scheduler.Next(kStart).has_value());
  scheduler.SetNode("a", 100, /*measured=*/false, 1);
  EXPECT_TRUE(scheduler.Next(kStart).has_value());
}

TEST(ShardSchedulerTest, ANodeOfUnknownSpeedCountsAsTheMeanOfTheOthers) {
  ShardScheduler scheduler = MakeScheduler(3);
  scheduler.SetNode("known", 100, /*measured=*/false, 1);
  scheduler.SetNode("new", 0, /*measured=*/false, 1);
  const Played played = Play(&scheduler, {{"known", 100}, {"new", 100}}, 100);
  EXPECT_GE(played.shares.at("new"), 1);
  EXPECT_EQ(played.took, absl::Seconds(2));
}

TEST(ShardSchedulerTest, ShardsOfAnEarlierLifeAreNotLeased) {
  ShardScheduler scheduler = MakeScheduler(3);
  scheduler.MarkDone(1);
  scheduler.SetNode("a", 100, /*measured=*/false, 3);
  std::vector<int> shards;
  while (const auto lease = scheduler.Next(kStart)) shards.push_back(lease->shard);
  EXPECT_EQ(shards, (std::vector<int>{0, 2}));
}

TEST(ShardSchedulerTest, TheNextEventIsTheEarliestDeadlineWhenNothingIsPending) {
  ShardScheduler scheduler = MakeScheduler(1);
  EXPECT_EQ(scheduler.NextEvent(kStart), SteadyTime::InfiniteFuture());
  scheduler.SetNode("a", 100, /*measured=*/false, 1);
  ASSERT_TRUE(scheduler.Next(kStart).has_value());
  EXPECT_EQ(scheduler.NextEvent(kStart), kStart + absl::Seconds(60));
}

}  // namespace
}  // namespace mellow
