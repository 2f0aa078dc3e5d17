#include "services/wire/message_limits.h"

#include <gtest/gtest.h>

#include "services/wire/access_policy.h"

namespace mellow::wire {
namespace {

TEST(MessageLimitsTest, EveryMethodHasOneAndNoneIsBeyondTheServers) {
  const rpc::MessageLimits limits = MessageLimitsOf(/*one_text=*/700000, /*largest=*/2 << 20);
  ASSERT_EQ(limits.size(), AccessPolicy().size());
  for (const auto& [method, roles] : AccessPolicy()) {
    ASSERT_TRUE(limits.contains(method)) << method;
    EXPECT_LE(limits.at(method), 2 << 20) << method;
  }
  EXPECT_EQ(limits.at("/mellow.policy.v1.PolicyService/Summarize"), 700000);
  EXPECT_EQ(limits.at("/mellow.policy.v1.PolicyService/Generate"), 2 << 20);
  EXPECT_EQ(limits.at("/mellow.learner.v1.LearnerService/Train"), 2 << 20);
  EXPECT_EQ(limits.at("/mellow.orchestrator.v1.OrchestratorService/StartRun"), kMaxSpecBytes);
  EXPECT_EQ(limits.at("/mellow.orchestrator.v1.OrchestratorService/GetRun"), kMaxNameBytes);
  for (const auto& [method, bytes] : MessageLimitsOf(700000, 4096)) EXPECT_EQ(bytes, 4096);
}

}  // namespace
}  // namespace mellow::wire
