#ifndef MELLOW_SERVICES_CLI_FILES_STARTED_RUN_H_
#define MELLOW_SERVICES_CLI_FILES_STARTED_RUN_H_

// Which run the last command started in a cluster and what it has shown of it, so that `--resume`
// goes on from there, also after the CLI was killed. It is written before the run is started: the
// request id makes starting it again harmless.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"

namespace mellow::cli {

inline constexpr int kNothingReported = -1;  // the first step of a supervised run is step 0

struct StartedRun {
  std::string request_id;  // of the request that starts the run
  orchestrator::v1::RunSpec spec;
  int reported_step = kNothingReported;
};

// A cluster may have a run of each method in progress, and each is resumed by itself:
// FOLDER/train.json, FOLDER/train-sft.json.
[[nodiscard]] std::string StartedRunPath(const std::string& folder,
                                         const orchestrator::v1::RunSpec& spec);

// NotFound: no such file. DataLoss: not such a record.
[[nodiscard]] absl::StatusOr<StartedRun> ReadStartedRun(const std::string& path);
[[nodiscard]] absl::Status WriteStartedRun(const std::string& path, const StartedRun& record);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_STARTED_RUN_H_
