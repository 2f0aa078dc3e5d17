#include "services/orchestrator/base/types.h"

#include "absl/strings/str_join.h"

namespace mellow::orchestrator {

absl::string_view ToString(NodeRole role) {
  switch (role) {
    case NodeRole::kPolicy:
      return "policy";
    case NodeRole::kReward:
      return "reward";
    case NodeRole::kLearner:
      return "learner";
    case NodeRole::kLearnerWorker:
      return "learner_worker";
    case NodeRole::kJudge:
      return "judge";
  }
  return "unknown";
}

absl::string_view ToString(NodeState state) {
  switch (state) {
    case NodeState::kReady:
      return "ready";
    case NodeState::kQuarantined:
      return "quarantined";
    case NodeState::kLost:
      return "lost";
  }
  return "unknown";
}

absl::string_view ToString(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return "running";
    case RunState::kStopped:
      return "stopped";
    case RunState::kDone:
      return "done";
    case RunState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string NotRepeatable(const RunPins& pins) {
  std::vector<std::string> reasons;
  for (const auto& [role, classes] : pins.devices) {
    if (classes.size() > 1)
      reasons.push_back(
          absl::StrCat(ToString(role), " nodes on ", absl::StrJoin(classes, " and ")));
  }
  return absl::StrJoin(reasons, "; ");
}

}  // namespace mellow::orchestrator
