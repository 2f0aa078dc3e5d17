// The files that evaluation, report and review read back: an evaluation, one row of its journal, a
// summary of ratings. What is accepted must be written in a way that is accepted and writes the same.

#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "common/eval/evaluation.h"
#include "common/review/review_summary.h"

namespace {

template <typename Read, typename Write>
void CheckRoundTrip(absl::string_view text, const Read& read, const Write& write) {
  const auto first = read(text);
  if (!first.ok()) return;
  const std::string written = write(*first);
  const auto second = read(absl::string_view(written));
  if (!second.ok() || write(*second) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mellow;  // NOLINT: a whole program
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckRoundTrip(text, eval::EvaluationFromJson, eval::EvaluationToJson);
  CheckRoundTrip(text, eval::RowFromJson, eval::RowToJson);
  CheckRoundTrip(text, review::ReviewSummaryFromJson, review::ReviewSummaryToJson);
  return 0;
}
