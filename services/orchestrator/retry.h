#ifndef MELLOW_SERVICES_ORCHESTRATOR_RETRY_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RETRY_H_

#include "absl/status/status.h"

namespace mellow::orchestrator {

// Whether the same call may succeed later or elsewhere: the peer is away, busy, draining or lost.
// Cancelled is ours: the peer was given up because it was lost or late.
inline bool MayRetry(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return true;
    default:
      return false;
  }
}

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RETRY_H_
