#include "services/wire/methods.h"

#include <algorithm>
#include <vector>

namespace mellow::wire {
namespace {

using Roles = std::set<std::string>;

// What a request has, which bounds its size.
enum class Request { kName, kSpec, kOneText, kLargest };

// Methods with one rule.
struct Rule {
  std::string service;  // below "mellow."
  Roles roles;
  Request request;
  std::vector<std::string> methods;
};

// Every method of every service; one that is not here is for nobody.
std::vector<Rule> MakeRules() {
  const Roles operators = {kOperator};
  const Roles orchestrator = {kOrchestrator};
  const Roles nodes = {kNode};
  // What a run does, and an evaluation in the same way.
  const Roles evaluation = {kOperator, kOrchestrator};
  const Roles users = {kOperator, kOrchestrator, kUser};
  const Roles everybody = {kOperator, kOrchestrator, kNode, kUser};
  using enum Request;
  constexpr char policy[] = "policy.v1.PolicyService";
  constexpr char reward[] = "reward.v1.RewardService";
  constexpr char learner[] = "learner.v1.LearnerService";
  constexpr char sft[] = "learner.v1.SftService";
  constexpr char gradients[] = "learner.v1.GradientService";
  constexpr char runs[] = "orchestrator.v1.OrchestratorService";
  return {
      {policy, orchestrator, kLargest, {"PublishAdapter"}},
      {policy, nodes, kName, {"FetchAdapter"}},
      {policy, evaluation, kOneText, {"GenerateStream"}},
      {policy, evaluation, kLargest, {"Generate", "ScoreTokens"}},
      {policy, users, kName, {"ListAdapters"}},
      {policy, users, kOneText, {"Summarize", "SummarizeStream"}},
      {policy, everybody, kName, {"GetInfo"}},
      {reward, users, kLargest, {"Score"}},
      {reward, everybody, kName, {"GetInfo"}},
      {learner, orchestrator, kName, {"GetAdapter"}},
      {learner, orchestrator, kSpec, {"CheckRun", "OpenRun"}},
      {learner, orchestrator, kLargest, {"ScoreTokens", "Train"}},
      {learner, evaluation, kName, {"GetInfo"}},
      {sft, orchestrator, kName, {"StopSft", "WatchSft"}},
      {sft, orchestrator, kSpec, {"CheckSft", "StartSft"}},
      {gradients, {kNode, kOrchestrator}, kLargest, {"ComputeGradient", "Evaluate", "PutWeights"}},
      {runs, nodes, kSpec, {"RegisterNode"}},
      {runs,
       operators,
       kName,
       {"GetRun", "ListKeptAdapters", "ListNodes", "ListPromotions", "ListRuns", "LoadAdapter",
        "ResumeRun", "RollBackChampion", "StopRun", "WatchRun"}},
      {runs, operators, kSpec, {"StartRun"}},
      {runs, operators, kLargest, {"PromoteAdapter"}},
  };
}

// Calls `with(name, rule)` for every method.
template <typename With>
void ForEachMethod(const With& with) {
  for (const Rule& rule : MakeRules()) {
    for (const std::string& method : rule.methods)
      with("/mellow." + rule.service + "/" + method, rule);
  }
}

}  // namespace

const rpc::AccessTable& AccessPolicy() {
  static const auto* table = [] {
    auto* made = new rpc::AccessTable;
    ForEachMethod(
        [made](const std::string& name, const Rule& rule) { (*made)[name] = rule.roles; });
    return made;
  }();
  return *table;
}

rpc::MessageLimits MessageLimitsOf(int64_t one_text, int64_t largest) {
  const auto bytes = [&](Request request) {
    switch (request) {
      case Request::kName:
        return kMaxNameBytes;
      case Request::kSpec:
        return kMaxSpecBytes;
      case Request::kOneText:
        return one_text;
      case Request::kLargest:
        return largest;
    }
    return largest;
  };
  rpc::MessageLimits limits;
  ForEachMethod([&](const std::string& name, const Rule& rule) {
    limits[name] = std::min(bytes(rule.request), largest);
  });
  return limits;
}

const std::set<std::string>& ServerRoles() {
  static const auto* roles = new Roles{kNode, kOrchestrator};
  return *roles;
}

const std::set<std::string>& UnlimitedRoles() { return ServerRoles(); }

}  // namespace mellow::wire
