#include "services/wire/message_limits.h"

#include <algorithm>
#include <string>
#include <vector>

namespace mellow::wire {

rpc::MessageLimits MessageLimitsOf(int64_t one_text, int64_t largest) {
  rpc::MessageLimits limits;
  const auto add = [&](const std::string& service, int64_t bytes,
                       const std::vector<std::string>& methods) {
    for (const std::string& method : methods)
      limits["/mellow." + service + "/" + method] = std::min(bytes, largest);
  };
  add("policy.v1.PolicyService", kMaxNameBytes, {"FetchAdapter", "GetInfo", "ListAdapters"});
  add("policy.v1.PolicyService", one_text, {"GenerateStream", "Summarize", "SummarizeStream"});
  add("policy.v1.PolicyService", largest, {"Generate", "PublishAdapter", "ScoreTokens"});
  add("reward.v1.RewardService", kMaxNameBytes, {"GetInfo"});
  add("reward.v1.RewardService", largest, {"Score"});
  add("learner.v1.LearnerService", kMaxNameBytes, {"GetAdapter", "GetInfo"});
  add("learner.v1.LearnerService", kMaxSpecBytes, {"CheckRun", "OpenRun"});
  add("learner.v1.LearnerService", largest, {"ScoreTokens", "Train"});
  add("learner.v1.GradientService", largest, {"ComputeGradient", "Evaluate", "PutWeights"});
  add("learner.v1.SftService", kMaxNameBytes, {"StopSft", "WatchSft"});
  add("learner.v1.SftService", kMaxSpecBytes, {"CheckSft", "StartSft"});
  add("orchestrator.v1.OrchestratorService", kMaxNameBytes,
      {"GetRun", "ListKeptAdapters", "ListNodes", "ListPromotions", "ListRuns", "LoadAdapter",
       "ResumeRun", "RollBackChampion", "StopRun", "WatchRun"});
  add("orchestrator.v1.OrchestratorService", kMaxSpecBytes, {"RegisterNode", "StartRun"});
  add("orchestrator.v1.OrchestratorService", largest, {"PromoteAdapter"});
  return limits;
}

}  // namespace mellow::wire
