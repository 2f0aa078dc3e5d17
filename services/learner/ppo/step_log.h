#ifndef MELLOW_SERVICES_LEARNER_PPO_STEP_LOG_H_
#define MELLOW_SERVICES_LEARNER_PPO_STEP_LOG_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/learner/ppo/step_records.h"

namespace mellow::learner {

// The records of a run's steps beside its checkpoints (steps.jsonl): one line per step with a
// checksum, appended and synced, so that a step costs the same however many came before it. What
// counts is what the newest checkpoint has: lines of later steps, and a last line that is torn, are
// written over. Not thread-safe.
class StepLog {
 public:
  // Reads the file, if there is one. `known` are the records that the checkpoint has itself (its
  // last step at least; all of them in a checkpoint of version 0.1). Both together, up to the last
  // one known, are the run's records afterwards, in *records and in the file. Lines that were
  // damaged are missing and counted in *damaged. Errors of the disk.
  [[nodiscard]] static absl::StatusOr<StepLog> Open(std::string path,
                                                    const std::map<int64_t, PpoStepRecord>& known,
                                                    std::map<int64_t, PpoStepRecord>* records,
                                                    int64_t* damaged);

  // Writes a line after those that count, and syncs it. It counts from Accept on: the next Append
  // without one writes over it.
  [[nodiscard]] absl::Status Append(const PpoStepRecord& record);
  void Accept() { end_ = appended_; }

 private:
  StepLog(std::string path, int64_t end) : path_(std::move(path)), end_(end), appended_(end) {}

  std::string path_;
  int64_t end_;       // bytes that count
  int64_t appended_;  // with the last Append
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_PPO_STEP_LOG_H_
