#include "common/rpc/client_limits.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"

namespace mellow::rpc {
namespace {

const SteadyTime kStart = SteadyTime(absl::Seconds(1000));

TEST(ClientLimitsTest, TwoSecondsWorthAtOnceThenTheRate) {
  ClientLimits limits({.rate = 4});
  for (int i = 0; i < 8; ++i) EXPECT_EQ(limits.Enter("ann", kStart).refusal, "") << i;
  const ClientLimits::Decision refused = limits.Enter("ann", kStart);
  EXPECT_EQ(refused.refusal, "rate");
  EXPECT_EQ(refused.wait, absl::Milliseconds(250));
  EXPECT_EQ(limits.Enter("bob", kStart).refusal, "") << "everybody has their own";
  EXPECT_EQ(limits.Enter("ann", kStart + refused.wait).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart + refused.wait).refusal, "rate");
}

TEST(ClientLimitsTest, ASlowRateStillLetsOneThrough) {
  ClientLimits limits({.rate = 0.1});
  EXPECT_EQ(limits.Enter("ann", kStart).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart).refusal, "rate");
  EXPECT_EQ(limits.Enter("ann", kStart + absl::Seconds(10)).refusal, "");
}

TEST(ClientLimitsTest, ConcurrencyCountsWhatHasNotLeft) {
  ClientLimits limits({.concurrency = 2});
  EXPECT_EQ(limits.Enter("ann", kStart).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart).refusal, "concurrency");
  EXPECT_EQ(limits.Enter("bob", kStart).refusal, "");
  limits.Leave("ann");
  EXPECT_EQ(limits.Enter("ann", kStart).refusal, "");
}

TEST(ClientLimitsTest, ACallCountsAsTheWorkThatItAsksFor) {
  ClientLimits limits({.rate = 4});
  EXPECT_EQ(limits.Enter("ann", kStart, 6).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart, 3).refusal, "rate") << "6 of 8 are gone";
  EXPECT_EQ(limits.Enter("ann", kStart, 2).refusal, "");
  EXPECT_EQ(limits.Enter("bob", kStart, 40).refusal, "") << "once, when nothing was asked before";
  const ClientLimits::Decision refused = limits.Enter("bob", kStart, 1);
  EXPECT_EQ(refused.refusal, "rate");
  EXPECT_EQ(refused.wait, absl::Seconds(33) / 4) << "32 too many, and one more";
}

TEST(ClientLimitsTest, WorkOverTheConcurrencyLimitGoesAlone) {
  ClientLimits limits({.concurrency = 4});
  EXPECT_EQ(limits.Enter("ann", kStart, 3).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart, 2).refusal, "concurrency");
  EXPECT_EQ(limits.Enter("ann", kStart, 1).refusal, "");
  limits.Leave("ann", 3);
  EXPECT_EQ(limits.Enter("ann", kStart, 9).refusal, "concurrency");
  limits.Leave("ann", 1);
  EXPECT_EQ(limits.Enter("ann", kStart, 9).refusal, "");
  EXPECT_EQ(limits.Enter("ann", kStart, 1).refusal, "concurrency");
}

TEST(ClientLimitsTest, ForgetsTheQuietestClientAndNoBusyOne) {
  ClientLimits limits({.rate = 1, .concurrency = 1, .max_clients = 2});
  EXPECT_EQ(limits.Enter("busy", kStart).refusal, "");
  for (int i = 0; i < 1000; ++i) {
    const std::string name = absl::StrCat("passer-by ", i);
    EXPECT_EQ(limits.Enter(name, kStart).refusal, "");
    limits.Leave(name);
  }
  EXPECT_EQ(limits.Enter("busy", kStart).refusal, "concurrency") << "not forgotten";
  EXPECT_EQ(limits.Enter("second", kStart).refusal, "");
  EXPECT_EQ(limits.Enter("third", kStart).refusal, "clients");
  limits.Leave("busy");
  EXPECT_EQ(limits.Enter("third", kStart).refusal, "");
}

}  // namespace
}  // namespace mellow::rpc
