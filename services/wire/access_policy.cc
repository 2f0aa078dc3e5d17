#include "services/wire/access_policy.h"

namespace mellow::wire {
namespace {

using Roles = std::set<std::string>;

const Roles& Everybody() {
  static const auto* roles = new Roles{kOperator, kOrchestrator, kNode, kUser};
  return *roles;
}

rpc::AccessTable MakePolicy() {
  const Roles operators = {kOperator};
  const Roles orchestrator = {kOrchestrator};
  const Roles nodes = {kNode};
  // What a run does, and an evaluation in the same way.
  const Roles evaluation = {kOperator, kOrchestrator};
  const Roles users = {kOperator, kOrchestrator, kUser};
  rpc::AccessTable table;
  const auto add = [&table](const std::string& service, const Roles& roles,
                            const std::vector<std::string>& methods) {
    for (const std::string& method : methods) table["/mellow." + service + "/" + method] = roles;
  };
  add("policy.v1.PolicyService", orchestrator, {"PublishAdapter"});
  add("policy.v1.PolicyService", nodes, {"FetchAdapter"});
  add("policy.v1.PolicyService", evaluation,
      {"Generate", "GenerateStream", "ListAdapters", "ScoreTokens"});
  add("policy.v1.PolicyService", users, {"Summarize", "SummarizeStream"});
  add("policy.v1.PolicyService", Everybody(), {"GetInfo"});
  add("reward.v1.RewardService", users, {"Score"});
  add("reward.v1.RewardService", Everybody(), {"GetInfo"});
  add("learner.v1.LearnerService", orchestrator,
      {"CheckRun", "GetAdapter", "OpenRun", "ScoreTokens", "Train"});
  add("learner.v1.LearnerService", evaluation, {"GetInfo"});
  add("learner.v1.SftService", orchestrator, {"CheckSft", "StartSft", "StopSft", "WatchSft"});
  add("learner.v1.GradientService", {kNode, kOrchestrator},
      {"ComputeGradient", "Evaluate", "PutWeights"});
  add("orchestrator.v1.OrchestratorService", nodes, {"RegisterNode"});
  add("orchestrator.v1.OrchestratorService", operators,
      {"GetRun", "ListKeptAdapters", "ListNodes", "ListPromotions", "ListRuns", "LoadAdapter",
       "PromoteAdapter", "ResumeRun", "RollBackChampion", "StartRun", "StopRun", "WatchRun"});
  return table;
}

}  // namespace

const rpc::AccessTable& AccessPolicy() {
  static const auto* table = new rpc::AccessTable(MakePolicy());
  return *table;
}

const std::set<std::string>& ServerRoles() {
  static const auto* roles = new Roles{kNode, kOrchestrator};
  return *roles;
}

const std::set<std::string>& UnlimitedRoles() { return ServerRoles(); }

}  // namespace mellow::wire
