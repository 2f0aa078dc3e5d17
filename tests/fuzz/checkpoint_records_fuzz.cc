// What the learner reads back from a checkpoint folder: run.json of both methods, a line of
// steps.jsonl. What is accepted must be written in a way that is accepted and writes the same.

#include <cstdlib>
#include <string>

#include "services/learner/sft_records.h"
#include "services/learner/step_records.h"

namespace {

template <typename Read, typename Write>
void CheckRoundTrip(const std::string& text, const Read& read, const Write& write) {
  const auto first = read(text);
  if (!first.ok()) return;
  const std::string written = write(*first);
  const auto second = read(written);
  if (!second.ok() || write(*second) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string text(reinterpret_cast<const char*>(data), size);
  CheckRoundTrip(text, learner::ParseRecord, learner::SerializeRecord);
  CheckRoundTrip(text, learner::ParseRunFile, learner::SerializeRunFile);
  CheckRoundTrip(text, learner::ParseSftRunFile, learner::SerializeSftRunFile);
  return 0;
}
