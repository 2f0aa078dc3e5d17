#ifndef MELLOW_SERVICES_CLI_EVALUATE_CLUSTER_HISTORY_H_
#define MELLOW_SERVICES_CLI_EVALUATE_CLUSTER_HISTORY_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/report/input.h"

namespace mellow::cli {

// What the orchestrator and the learner of the cluster in `folder` tell of its runs, for a report:
// every PPO run with its committed steps, every supervised run that is done and the last one that
// is not, and every promotion. A run in progress is told as far as it has come. NotFound: no
// cluster runs there; Unavailable (peer named): it does not answer.
[[nodiscard]] absl::StatusOr<report::ClusterHistory> CollectClusterHistory(
    const std::string& folder);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_CLUSTER_HISTORY_H_
