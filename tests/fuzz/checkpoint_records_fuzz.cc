// What the learner reads back from a checkpoint folder: run.json of both methods, a line of
// steps.jsonl.

#include <string>

#include "services/learner/ppo/step_records.h"
#include "services/learner/sft/sft_records.h"
#include "tests/fuzz/round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string text(reinterpret_cast<const char*>(data), size);
  CheckRoundTrip(text, learner::ParseRecord, learner::SerializeRecord);
  CheckRoundTrip(text, learner::ParsePpoRunFile, learner::SerializePpoRunFile);
  CheckRoundTrip(text, learner::ParseSftRunFile, learner::SerializeSftRunFile);
  return 0;
}
