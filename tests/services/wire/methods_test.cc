#include "services/wire/methods.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "tests/testing/source_tree.h"

namespace mellow::wire {
namespace {

// All methods of the services in proto/, by its text: one that nobody links here is found too.
std::set<std::string> Methods() {
  std::set<std::string> methods;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SourceTree("/proto"))) {
    if (entry.path().extension() != ".proto" ||
        absl::StrContains(entry.path().string(), "/grpc/health/"))
      continue;
    std::string package;
    std::string service;
    for (const absl::string_view line : absl::StrSplit(*ReadFile(entry.path().string()), '\n')) {
      const std::vector<std::string> words =
          absl::StrSplit(line, absl::ByAnyChar(" ;({"), absl::SkipEmpty());
      if (words.size() < 2) continue;
      if (words[0] == "package") package = words[1];
      if (words[0] == "service") service = words[1];
      if (words[0] == "rpc")
        methods.insert(absl::StrCat("/", package, ".", service, "/", words[1]));
    }
  }
  return methods;
}

TEST(AccessPolicyTest, ListsEveryMethodAndNoOther) {
  std::set<std::string> listed;
  for (const auto& [method, roles] : AccessPolicy()) {
    listed.insert(method);
    EXPECT_FALSE(roles.empty()) << method;
    for (const std::string& role : roles)
      EXPECT_EQ(std::set<std::string>({kOperator, kOrchestrator, kNode, kUser}).count(role), 1u)
          << method << ": " << role;
  }
  EXPECT_GT(listed.size(), 20u);
  EXPECT_EQ(listed, Methods());
}

TEST(AccessPolicyTest, WhatEachRoleMay) {
  const auto may = [](const std::string& role, const std::string& method) {
    return rpc::CheckAccess(AccessPolicy(), {role, "x"}, "/mellow." + method).ok();
  };
  for (const std::string method :
       {"policy.v1.PolicyService/PublishAdapter", "learner.v1.LearnerService/Train",
        "learner.v1.LearnerService/OpenRun", "learner.v1.LearnerService/GetAdapter",
        "learner.v1.SftService/StartSft", "learner.v1.SftService/StopSft"}) {
    EXPECT_TRUE(may(kOrchestrator, method)) << method;
    for (const std::string role : {kOperator, kNode, kUser})
      EXPECT_FALSE(may(role, method)) << method;
  }
  for (const std::string method : {"orchestrator.v1.OrchestratorService/StartRun",
                                   "orchestrator.v1.OrchestratorService/StopRun",
                                   "orchestrator.v1.OrchestratorService/PromoteAdapter",
                                   "orchestrator.v1.OrchestratorService/RollBackChampion"}) {
    EXPECT_TRUE(may(kOperator, method)) << method;
    for (const std::string role : {kOrchestrator, kNode, kUser})
      EXPECT_FALSE(may(role, method)) << method;
  }
  EXPECT_TRUE(may(kNode, "orchestrator.v1.OrchestratorService/RegisterNode"));
  for (const std::string role : {kOperator, kOrchestrator, kUser})
    EXPECT_FALSE(may(role, "orchestrator.v1.OrchestratorService/RegisterNode")) << role;
  for (const std::string method : {"PutWeights", "ComputeGradient", "Evaluate"}) {
    const std::string name = "learner.v1.GradientService/" + method;
    EXPECT_TRUE(may(kNode, name)) << "the learner is a node";
    EXPECT_TRUE(may(kOrchestrator, name));
    for (const std::string role : {kOperator, kUser}) EXPECT_FALSE(may(role, name)) << role;
  }
  EXPECT_TRUE(may(kNode, "policy.v1.PolicyService/FetchAdapter"));
  for (const std::string role : {kOperator, kOrchestrator, kUser})
    EXPECT_FALSE(may(role, "policy.v1.PolicyService/FetchAdapter")) << role;
  EXPECT_FALSE(may(kUser, "policy.v1.PolicyService/Generate"));
  EXPECT_FALSE(may(kNode, "policy.v1.PolicyService/Summarize"));
  for (const std::string role : {kOperator, kUser}) {
    for (const std::string method : {"Summarize", "SummarizeStream", "ListAdapters", "GetInfo"})
      EXPECT_TRUE(may(role, "policy.v1.PolicyService/" + method)) << role << " " << method;
    EXPECT_TRUE(may(role, "reward.v1.RewardService/Score"));
  }
}

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
