#include "services/cli/cluster/cluster_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;

std::string FlagOf(const ServicePlan& plan, const std::string& flag) {
  const auto found = std::find(plan.arguments.begin(), plan.arguments.end(), flag);
  return found == plan.arguments.end() || found + 1 == plan.arguments.end() ? "" : *(found + 1);
}

TEST(PlanServicesTest, SharesTheCoresOut) {
  const ClusterOptions options = {.folder = "/c",
                                  .policies = 3,
                                  .rewards = 2,
                                  .policy_model = "/p",
                                  .reward_model = "/r",
                                  .threads = 8};
  const auto plans = PlanServices({.executable = "/bin/mellow"}, options);
  ASSERT_EQ(plans.size(), 7U);
  EXPECT_EQ(plans[0].role, "orchestrator");
  EXPECT_EQ(plans[0].arguments[0], "/bin/mellow_orchestrator_server");
  EXPECT_EQ(FlagOf(plans[0], "--data-dir"), "/c/ledger");
  EXPECT_EQ(plans[1].role, "learner");
  EXPECT_EQ(FlagOf(plans[1], "--threads"), "8");
  EXPECT_EQ(plans[3].name, "reward-1");
  EXPECT_EQ(FlagOf(plans[3], "--threads"), "4");
  EXPECT_EQ(plans[6].name, "policy-2");
  EXPECT_EQ(FlagOf(plans[6], "--threads"), "2");
  EXPECT_EQ(FlagOf(plans[6], "--node-id"), "policy-2");
}

TEST(PlanServicesTest, LearnersShareTheLearnersCores) {
  const ClusterOptions options = {
      .folder = "/c", .learners = 3, .policy_model = "/p", .reward_model = "/r", .threads = 7};
  const auto plans = PlanServices({.executable = "/bin/mellow"}, options);
  ASSERT_EQ(plans.size(), 6U);
  EXPECT_EQ(plans[1].role, "learner");
  EXPECT_EQ(FlagOf(plans[1], "--threads"), "2");
  for (int i : {2, 3}) {
    EXPECT_EQ(plans[i].role, "learner_worker");
    EXPECT_EQ(plans[i].name, absl::StrCat("learner-worker-", i - 2));
    EXPECT_EQ(plans[i].arguments[0], "/bin/mellow_learner_server");
    EXPECT_EQ(std::count(plans[i].arguments.begin(), plans[i].arguments.end(), "--worker"), 1);
    EXPECT_EQ(FlagOf(plans[i], "--checkpoint-dir"), "");
    EXPECT_EQ(FlagOf(plans[i], "--threads"), "2");
  }
  EXPECT_THAT(options.ToFlags(), ::testing::IsSupersetOf({"--learners", "3"}));
}

TEST(PlanServicesTest, AJudgeIsARewardServerThatGivesNoRewards) {
  ClusterOptions options = {.folder = "/c", .judge_model = "/j", .threads = 4};
  const auto plans = PlanServices({.executable = "/bin/mellow"}, options);
  const auto judge = std::find_if(plans.begin(), plans.end(),
                                  [](const ServicePlan& plan) { return plan.role == "judge"; });
  ASSERT_NE(judge, plans.end());
  EXPECT_EQ(judge->arguments[0], "/bin/mellow_reward_server");
  EXPECT_EQ(FlagOf(*judge, "--model"), "/j");
  EXPECT_EQ(std::count(judge->arguments.begin(), judge->arguments.end(), "--judge"), 1);
  EXPECT_THAT(options.ToFlags(), ::testing::IsSupersetOf({"--judge-model", "/j"}));
  options.judge_model.clear();
  EXPECT_EQ(PlanServices({}, options).size(), plans.size() - 1);
}

TEST(PlanServicesTest, NobodyGetsNoThread) {
  const ClusterOptions options = {.policies = 4, .threads = 1};
  for (const ServicePlan& plan : PlanServices({}, options)) {
    if (plan.role != "orchestrator") {
      EXPECT_EQ(FlagOf(plan, "--threads"), "1") << plan.name;
    }
  }
}

TEST(ClusterOptionsTest, BadValuesAreNamedWithTheirFlag) {
  EXPECT_THAT(std::string(ClusterOptions{.policies = 0}.Validate().message()),
              HasSubstr("--policies 0"));
  EXPECT_THAT(std::string(ClusterOptions{.rewards = -1}.Validate().message()),
              HasSubstr("--rewards -1"));
  EXPECT_THAT(std::string(ClusterOptions{.learners = 0}.Validate().message()),
              HasSubstr("--learners 0"));
  EXPECT_THAT(std::string(ClusterOptions{.threads = -2}.Validate().message()),
              HasSubstr("--threads -2"));
  EXPECT_TRUE(ClusterOptions{}.Validate().ok());
}

TEST(CanonicalFolderTest, TheSameFolderHasOneName) {
  EXPECT_EQ(CanonicalFolder("/tmp/nowhere/"), CanonicalFolder("/tmp/../tmp/nowhere"));
  EXPECT_EQ(CanonicalFolder("x").front(), '/');
}

}  // namespace
}  // namespace mellow::cli
