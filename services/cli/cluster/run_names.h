#ifndef MELLOW_SERVICES_CLI_CLUSTER_RUN_NAMES_H_
#define MELLOW_SERVICES_CLI_CLUSTER_RUN_NAMES_H_

// Runs and their adapters by the names that people give them.

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/files/step_name.h"

namespace mellow::cli {

// The word for a run that is not named.
inline constexpr char kNewestRun[] = "newest";

// The run of that id, or the only one whose id begins so or whose name it is. "newest": the newest
// that `prefer` takes, or if it takes none the newest. `runs`: the newest first. NotFound: none,
// and those that there are; InvalidArgument: several, which are named.
[[nodiscard]] absl::StatusOr<orchestrator::v1::Run> FindRun(
    absl::Span<const orchestrator::v1::Run> runs, const std::string& name,
    const std::function<bool(const orchestrator::v1::Run&)>& prefer = {});

// The shortest beginnings, of 19 characters (the date) at least, that are ids of one run each.
[[nodiscard]] std::vector<std::string> ShortIds(absl::Span<const orchestrator::v1::Run> runs);

// What a cluster keeps.
struct KeptAdapters {
  std::vector<orchestrator::v1::Run> runs;              // newest first
  std::vector<orchestrator::v1::KeptAdapter> adapters;  // by version
};
[[nodiscard]] absl::StatusOr<KeptAdapters> ListKept(OrchestratorClient* orchestrator);

// The adapter of that step. As FindRun ("newest" is the newest run with a committed step); NotFound
// also: the run has no such step, or it is not kept, with those that are.
[[nodiscard]] absl::StatusOr<orchestrator::v1::KeptAdapter> FindKept(const KeptAdapters& kept,
                                                                     const StepName& name);

// NotFound: of a version that is not there, with those that are: `served` by nodes, or kept.
[[nodiscard]] absl::Status NoSuchVersion(int64_t version, std::set<int64_t> served,
                                         const KeptAdapters& kept);

// Whether it has a committed step: what became of it may serve.
[[nodiscard]] bool HasSteps(const orchestrator::v1::Run& run);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_RUN_NAMES_H_
