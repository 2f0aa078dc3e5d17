#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_ARMS_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_ARMS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/eval/evaluation.h"
#include "common/nn/lora.h"
#include "mellow/common/v1/common.pb.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "services/cli/cluster/run_names.h"

namespace mellow::cli {

// What a cluster can say of its adapters.
struct ClusterAdapters {
  std::string folder;  // of the cluster, for messages
  std::vector<common::v1::AdapterRef>
      adapters;                     // oldest first, version 0 and the champion included
  int64_t newest = 0;               // what a request without a version gets
  std::optional<int64_t> champion;  // what users get
  std::optional<orchestrator::v1::Run> newest_run;  // of PPO, with a step if any has one
  KeptAdapters kept;                                // what the servers may be given too
};

struct ResolvedArm {
  eval::Arm arm;
  std::optional<nn::LoraWeights> lora;  // of a folder
};

// "base", "start", "newest", "champion", the number of a version, RUN@STEP, or a PEFT folder, in
// the order of the evaluation file. `cluster` is null when none takes part. "start" is what the
// newest run began with: the base model, a version that the cluster keeps, or the run's
// start_adapter folder. NotFound: a version that the cluster does not have, a folder that is not
// there. InvalidArgument: two arms with the same weights, a version without a cluster.
// FailedPrecondition: the cluster has no champion or no run, or the folder has changed since the
// run began.
[[nodiscard]] absl::StatusOr<std::vector<ResolvedArm>> ResolveArms(
    absl::Span<const std::string> arms, const ClusterAdapters* cluster);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_ARMS_H_
