// The files that evaluation, report and review read back: an evaluation, one row of its journal, a
// summary of ratings.

#include <string>

#include "common/eval/evaluation.h"
#include "common/review/review_summary.h"
#include "tests/fuzz/round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const std::string text(reinterpret_cast<const char*>(data), size);
  CheckRoundTrip(text, eval::EvaluationFromJson, eval::EvaluationToJson);
  CheckRoundTrip(text, eval::RowFromJson, eval::RowToJson);
  CheckRoundTrip(text, review::ReviewSummaryFromJson, review::ReviewSummaryToJson);
  return 0;
}
