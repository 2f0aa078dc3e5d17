#ifndef MELLOW_COMMON_REVIEW_SUMMARIZE_H_
#define MELLOW_COMMON_REVIEW_SUMMARIZE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/review/review_summary.h"
#include "common/review/study_store.h"
#include "common/stats/bootstrap.h"

namespace mellow::review {

// The statistics of review_summary.h, from a study's parts as StudyStore gives them. `items`: how
// many the study has. InvalidArgument: options out of range.
[[nodiscard]] absl::StatusOr<ReviewSummary> Summarize(const StudyInfo& info, int64_t items,
                                                      absl::Span<const AnnotatorStatus> annotators,
                                                      absl::Span<const ReviewedItem> reviewed,
                                                      const stats::BootstrapOptions& options);

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_SUMMARIZE_H_
