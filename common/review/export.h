#ifndef MELLOW_COMMON_REVIEW_EXPORT_H_
#define MELLOW_COMMON_REVIEW_EXPORT_H_

#include <string>

#include "absl/types/span.h"
#include "common/review/study_store.h"

namespace mellow::review {

// One line for each item and annotator with at least one answer. Columns, in both formats:
//   annotator, position, item, row, shared, first ("baseline" or "arm": whose summary was shown
//   first), readability_baseline, readability_arm, coherence_baseline, coherence_arm, preference
//   ("baseline", "tie", "arm"), more_offensive ("baseline", "neither", "arm"), complete, saved
//   (UTC), and, with `texts` (the study's items), dialogue, summary_baseline, summary_arm.
// An answer that is missing is empty (CSV) or null (JSON).

// RFC 4180 with a header line; lines end in CR LF. A text that begins with =, +, -, @, tab or
// carriage return, which a spreadsheet would run as a formula, gets an apostrophe before it; the
// JSON lines have the text as it is.
[[nodiscard]] std::string ExportCsv(absl::Span<const ReviewedItem> reviewed,
                                    absl::Span<const StudyItem> texts);
[[nodiscard]] std::string ExportJsonLines(absl::Span<const ReviewedItem> reviewed,
                                          absl::Span<const StudyItem> texts);

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_EXPORT_H_
