#ifndef MELLOW_SERVICES_LEARNER_STEP_RECORDS_H_
#define MELLOW_SERVICES_LEARNER_STEP_RECORDS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "services/learner/learner_session.h"

namespace mellow::learner {

// What a checkpoint says besides the trainer's state (run.json): the run's settings and the record
// of its step (none: step 0). A checkpoint of version 0.1 has the records of all steps up to it.
// Numbers survive to the bit.
struct RunFile {
  RunSettings settings;
  std::map<int64_t, StepRecord> records;
};

// One line of JSON.
[[nodiscard]] std::string SerializeRecord(const StepRecord& record);
// DataLoss: not a record.
[[nodiscard]] absl::StatusOr<StepRecord> ParseRecord(const std::string& text);

[[nodiscard]] std::string SerializeRunFile(const RunFile& file);
// DataLoss: not such a file.
[[nodiscard]] absl::StatusOr<RunFile> ParseRunFile(const std::string& text);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_STEP_RECORDS_H_
