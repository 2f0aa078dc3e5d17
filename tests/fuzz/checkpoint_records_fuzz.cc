// What the learner reads back from a checkpoint folder: run.json and a line of steps.jsonl, of both
// methods.

#include <string>

#include "services/learner/ppo/step_records.h"
#include "services/learner/sft/sft_records.h"
#include "tests/fuzz/round_trip.h"

namespace mellow::learner {

template <typename Record>
void CheckRecord(const std::string& text) {
  const auto parse = [](const std::string& line) -> absl::StatusOr<Record> {
    Record record;
    if (absl::Status status = ParseRecord(line, &record); !status.ok()) return status;
    return record;
  };
  CheckRoundTrip(text, parse, [](const Record& record) { return SerializeRecord(record); });
}

}  // namespace mellow::learner

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string text(reinterpret_cast<const char*>(data), size);
  learner::CheckRecord<learner::PpoStepRecord>(text);
  learner::CheckRecord<learner::SftStepRecord>(text);
  CheckRoundTrip(text, learner::ParsePpoRunFile, learner::SerializePpoRunFile);
  CheckRoundTrip(text, learner::ParseSftRunFile, learner::SerializeSftRunFile);
  return 0;
}
