#ifndef MELLOW_SERVICES_LEARNER_PPO_STEP_RECORDS_H_
#define MELLOW_SERVICES_LEARNER_PPO_STEP_RECORDS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rl/ppo_config.h"

namespace mellow::learner {

// What a trained step answered. Kept beside the checkpoints, so that a repeated request gets the
// same answer after a restart too.
struct PpoStepRecord {
  int64_t step = 0;
  int64_t version = 0;  // of the new weights in the cluster
  std::string sha256;
  std::map<std::string, double> stats;
  double seconds = 0;
};

struct RunSettings {
  std::string run_id;         // letters, digits, '-' and '_'
  std::string config_json;    // the PpoConfig message, as it is recorded
  std::string start_adapter;  // PEFT folder, or empty
  int64_t start_version = 0;
  rl::PpoConfig config;  // what config_json says; not read back from a record
};

// FailedPrecondition naming the first field that differs, and both values.
[[nodiscard]] absl::Status CheckSameSettings(const RunSettings& had, const RunSettings& wanted);

// What a checkpoint says besides the trainer's state (run.json): the run's settings and the record
// of its step (none: step 0). A checkpoint of version 0.1 has the records of all steps up to it.
// Numbers survive to the bit.
struct PpoRunFile {
  RunSettings settings;
  std::map<int64_t, PpoStepRecord> records;
};

// One line of JSON.
[[nodiscard]] std::string SerializeRecord(const PpoStepRecord& record);
// DataLoss: not a record.
[[nodiscard]] absl::StatusOr<PpoStepRecord> ParseRecord(const std::string& text);

[[nodiscard]] std::string SerializePpoRunFile(const PpoRunFile& file);
// DataLoss: not such a file.
[[nodiscard]] absl::StatusOr<PpoRunFile> ParsePpoRunFile(const std::string& text);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_PPO_STEP_RECORDS_H_
