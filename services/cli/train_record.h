#ifndef MELLOW_SERVICES_CLI_TRAIN_RECORD_H_
#define MELLOW_SERVICES_CLI_TRAIN_RECORD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"

namespace mellow::cli {

// DIR/train.json: which run the last `mellow train` of a cluster started and what it has shown of
// it, so that `--resume` goes on from there, also after the CLI was killed. It is written before
// the run is started: the request id makes starting it again harmless.
struct TrainRecord {
  std::string request_id;
  orchestrator::v1::RunSpec spec;
  int reported_step = 0;
};

// NotFound: nothing was trained here. DataLoss: not such a file.
[[nodiscard]] absl::StatusOr<TrainRecord> ReadTrainRecord(const std::string& folder);
[[nodiscard]] absl::Status WriteTrainRecord(const std::string& folder, const TrainRecord& record);

// Which fields differ ("modified: steps: 3 -> 4"); empty: none.
[[nodiscard]] std::string SpecDifference(const orchestrator::v1::RunSpec& a,
                                         const orchestrator::v1::RunSpec& b);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_RECORD_H_
