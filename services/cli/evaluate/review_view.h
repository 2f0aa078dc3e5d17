#ifndef MELLOW_SERVICES_CLI_EVALUATE_REVIEW_VIEW_H_
#define MELLOW_SERVICES_CLI_EVALUATE_REVIEW_VIEW_H_

#include <string>

#include "common/review/review_summary.h"

namespace mellow::cli {

// What a person reads in a terminal.
[[nodiscard]] std::string FormatReviewSummary(const review::ReviewSummary& summary);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_REVIEW_VIEW_H_
