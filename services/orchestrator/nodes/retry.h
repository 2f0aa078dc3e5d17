#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_RETRY_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_RETRY_H_

#include "absl/status/status.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// What is done about a status that a call of a run ended with.
enum class Remedy {
  kAgain,  // the peer is away, busy, draining or lost: it rests, and this or another one is asked
           // again, for as long as it takes; the activity says why
  kElsewhere,  // this process cannot do it: another one gets it; none is left: the run ends
  kPublish,    // the policy dropped the adapter: it gets it again before it works
  kReopen,     // the learner does not have the run open: it is opened, once per call; again: the
               // run ends
  kFewTimes,   // a defect, maybe of the moment (no memory) or of one node: kMaxDefects in a row of
               // one piece of work, then the run ends
};

inline constexpr int kMaxDefects = 5;

// The one table of who retries what. Rows: the status; columns: the calls of a run to each role
// (policy: Generate; reward and judge: Score; learner: OpenRun, Train, GetAdapter, ScoreTokens,
// StartSft, WatchSft). Publications and canaries are not in it: whatever they end with, the node is
// quarantined with the reason and tried again, and the run goes on with the others. A supervised
// run that failed at the learner with a code of kAgain or kFewTimes is as a WatchSft that ended
// with it.
//
//                        policy      reward      learner
//   UNAVAILABLE          kAgain      kAgain      kAgain
//   RESOURCE_EXHAUSTED   kAgain      kAgain      kAgain
//   ABORTED              kAgain      kAgain      kAgain
//   DEADLINE_EXCEEDED    kAgain      kAgain      kAgain
//   CANCELLED            kAgain      kAgain      kAgain      (ours: the peer was lost or late)
//   NOT_FOUND            kPublish    kElsewhere  kElsewhere  (WatchSft: kAgain, the run is started)
//   FAILED_PRECONDITION  kElsewhere  kElsewhere  kReopen
//   INTERNAL, UNKNOWN, DATA_LOSS
//                        kFewTimes   kFewTimes   kFewTimes
//   all others (INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, ...)
//                        kElsewhere  kElsewhere  kElsewhere
inline Remedy RemedyFor(NodeRole role, absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return Remedy::kAgain;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return Remedy::kFewTimes;
    case absl::StatusCode::kNotFound:
      return role == NodeRole::kPolicy ? Remedy::kPublish : Remedy::kElsewhere;
    case absl::StatusCode::kFailedPrecondition:
      return role == NodeRole::kLearner ? Remedy::kReopen : Remedy::kElsewhere;
    default:
      return Remedy::kElsewhere;
  }
}

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_RETRY_H_
