#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_RECORDS_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_RECORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/json/value.h"

namespace mellow::learner {

// What an optimizer step did; step 0 is the dev loss before the first. Units as in sft.proto.
struct SftStepRecord {
  int64_t step = 0;
  double epoch = 0;
  std::optional<double> loss;
  double learning_rate = 0;
  double gradient_norm = 0;
  int64_t tokens = 0;
  double seconds = 0;
  std::optional<double> dev_loss;
};

// What a checkpoint says besides the trainer's state (run.json), with the records of its last step
// and of the best one; the others stand in the StepLog. A checkpoint of before, and what is kept of
// a finished run, have all. Numbers survive to the bit.
struct SftRunFile {
  std::string run_id;
  std::string spec_json;
  std::string data_sha256;
  std::vector<SftStepRecord> records;  // by step
};

// One line of JSON.
[[nodiscard]] std::string SerializeRecord(const SftStepRecord& record);
// DataLoss: not a record.
[[nodiscard]] absl::Status ParseRecord(const std::string& text, SftStepRecord* record);

// The record with the lowest dev loss (the first of equals); null: none was measured.
[[nodiscard]] const SftStepRecord* LowestDevLoss(const std::vector<SftStepRecord>& records);

// Where a run keeps its result, below its own folder.
[[nodiscard]] std::string AdapterFolderOf(const std::string& run_folder);

[[nodiscard]] json::Value ValueOf(const SftRunFile& file);
[[nodiscard]] std::string SerializeSftRunFile(const SftRunFile& file);
// DataLoss: not such a file.
[[nodiscard]] absl::StatusOr<SftRunFile> SftRunFileOf(const json::Value& object);
[[nodiscard]] absl::StatusOr<SftRunFile> ParseSftRunFile(const std::string& text);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_RECORDS_H_
