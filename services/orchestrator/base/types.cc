#include "services/orchestrator/base/types.h"

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

}  // namespace mellow::orchestrator
