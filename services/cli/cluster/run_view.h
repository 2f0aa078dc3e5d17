#ifndef MELLOW_SERVICES_CLI_CLUSTER_RUN_VIEW_H_
#define MELLOW_SERVICES_CLI_CLUSTER_RUN_VIEW_H_

// Runs in a terminal and in JSON.

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/json/value.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::cli {

// "RUNNING", "STOPPED", "DONE", "FAILED".
[[nodiscard]] std::string StateName(const orchestrator::v1::Run& run);
// "ppo", "sft".
[[nodiscard]] const char* MethodName(const orchestrator::v1::Run& run);
// "policy", "reward", "learner".
[[nodiscard]] std::string RoleName(orchestrator::v1::NodeRole role);
// When its guard took the run back, a line each: "went back after step 31: guard.kl_max: ...".
// Without the one that the run's error tells of.
[[nodiscard]] std::vector<std::string> TripTexts(const orchestrator::v1::Run& run);

// Stands in commands for an evaluation file that the user has to write.
inline constexpr char kEvaluationFile[] = "EVAL.json";
// What finds the best of the kept steps of a PPO run, of about five of them, as a command for
// people. `file`: of an evaluation; `run_name`: its id, or its beginning.
[[nodiscard]] std::string BestStepCommand(const orchestrator::v1::Run& run,
                                          const std::string& run_name, const std::string& file,
                                          const std::string& dir);
// Of a run that its guard took back, a line with that command: what the guard left may be worse
// than what it gave up, and the adapters of all steps stay. Else empty.
[[nodiscard]] std::string BestStepHint(const orchestrator::v1::Run& run,
                                       const std::string& run_name, const std::string& file,
                                       const std::string& dir);

[[nodiscard]] json::Value RunJson(const orchestrator::v1::Run& run);

// Two lines for each run, below 80 columns, and more for what went wrong. `runs`: the newest first;
// `dir`: of the cluster, as the user wrote it.
[[nodiscard]] std::string RunsText(absl::Span<const orchestrator::v1::Run> runs,
                                   const std::string& dir);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_RUN_VIEW_H_
