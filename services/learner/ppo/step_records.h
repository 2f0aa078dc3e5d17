#ifndef MELLOW_SERVICES_LEARNER_PPO_STEP_RECORDS_H_
#define MELLOW_SERVICES_LEARNER_PPO_STEP_RECORDS_H_

#include <cstdint>
#include <map>
#include <optional>
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

// A checkpoint of another run of the same settings, to begin at.
struct ForkPoint {
  std::string run_id;
  int64_t step = 0;
  int64_t after_step = 0;  // the first step of the fork is the one after this
  double learning_rate_factor = 1;
  bool operator==(const ForkPoint&) const = default;
};

struct RunSettings {
  std::string run_id;         // letters, digits, '-' and '_'
  std::string config_json;    // the PpoConfig message, as it is recorded
  std::string start_adapter;  // PEFT folder, or empty
  int64_t start_version = 0;
  std::optional<ForkPoint> fork;
  // What config_json says, with the factor of `fork`. This and the next are not read back from a
  // record.
  rl::PpoConfig config;
  int keep_checkpoints = 0;  // at least
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
[[nodiscard]] absl::Status ParseRecord(const std::string& text, PpoStepRecord* record);

[[nodiscard]] std::string SerializePpoRunFile(const PpoRunFile& file);
// DataLoss: not such a file.
[[nodiscard]] absl::StatusOr<PpoRunFile> ParsePpoRunFile(const std::string& text);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_PPO_STEP_RECORDS_H_
