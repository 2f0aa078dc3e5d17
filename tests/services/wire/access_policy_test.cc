#include "services/wire/access_policy.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "mellow/learner/v1/learner.pb.h"
#include "mellow/learner/v1/sft.pb.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "mellow/policy/v1/policy.pb.h"
#include "mellow/reward/v1/reward.pb.h"

namespace mellow::wire {
namespace {

// Of all proto files with services.
std::set<std::string> Methods() {
  std::set<std::string> methods;
  for (const auto* file : {policy::v1::GetInfoRequest::descriptor()->file(),
                           reward::v1::GetInfoRequest::descriptor()->file(),
                           learner::v1::GetInfoRequest::descriptor()->file(),
                           learner::v1::StartSftRequest::descriptor()->file(),
                           orchestrator::v1::StartRunRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.insert(absl::StrCat("/", file->service(s)->full_name(), "/",
                                    file->service(s)->method(m)->name()));
      }
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
  EXPECT_EQ(listed, Methods());
}

TEST(AccessPolicyTest, WhatEachRoleMay) {
  const auto may = [](const std::string& role, const std::string& method) {
    return rpc::CheckAccess(AccessPolicy(), {role, "x"}, "/mellow." + method).ok();
  };
  for (const std::string method :
       {"policy.v1.PolicyService/PublishAdapter", "learner.v1.LearnerService/Train",
        "learner.v1.LearnerService/OpenRun", "learner.v1.LearnerService/GetAdapter"}) {
    EXPECT_TRUE(may(kOrchestrator, method)) << method;
    for (const std::string role : {kOperator, kNode, kUser})
      EXPECT_FALSE(may(role, method)) << method;
  }
  for (const std::string method :
       {"orchestrator.v1.OrchestratorService/StartRun",
        "orchestrator.v1.OrchestratorService/StopRun",
        "orchestrator.v1.OrchestratorService/PromoteAdapter",
        "orchestrator.v1.OrchestratorService/RollBackChampion", "learner.v1.SftService/StartSft"}) {
    EXPECT_TRUE(may(kOperator, method)) << method;
    for (const std::string role : {kOrchestrator, kNode, kUser})
      EXPECT_FALSE(may(role, method)) << method;
  }
  EXPECT_TRUE(may(kNode, "orchestrator.v1.OrchestratorService/RegisterNode"));
  for (const std::string role : {kOperator, kOrchestrator, kUser})
    EXPECT_FALSE(may(role, "orchestrator.v1.OrchestratorService/RegisterNode")) << role;
  EXPECT_FALSE(may(kUser, "policy.v1.PolicyService/Generate"));
  EXPECT_FALSE(may(kNode, "policy.v1.PolicyService/Summarize"));
  for (const std::string role : {kOperator, kUser}) {
    EXPECT_TRUE(may(role, "policy.v1.PolicyService/Summarize"));
    EXPECT_TRUE(may(role, "reward.v1.RewardService/Score"));
    EXPECT_TRUE(may(role, "policy.v1.PolicyService/GetInfo"));
  }
}

}  // namespace
}  // namespace mellow::wire
