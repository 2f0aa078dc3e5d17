#ifndef MELLOW_COMMON_REVIEW_REVIEW_SUMMARY_H_
#define MELLOW_COMMON_REVIEW_REVIEW_SUMMARY_H_

// What people said in one review study: two arms of an evaluation, rated blind on the same
// dialogues. Plain data, for a report; summarize.h computes it.
//
// A judgment is one person's complete answer to one item: two readability ratings, two coherence
// ratings, one preference, and, but in older studies, which summary is the more offensive one.
// Items are what is independent, not judgments: an item that several people judged counts once in
// every mean, interval and win rate, with the mean of its ratings and the majority of its
// preferences.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/json/value.h"
#include "common/stats/bootstrap.h"
#include "common/stats/wilson.h"

namespace mellow::review {

// Grows when a field changes its meaning or goes. New fields do not count.
inline constexpr int kReviewSummarySchema = 1;

// Krippendorff's alpha (common/stats/krippendorff.h) over all judgments.
struct Agreement {
  std::string level;            // "ordinal" or "nominal"
  std::optional<double> alpha;  // absent: not defined, see `why_not`
  int64_t units = 0;            // rated things that at least two people judged
  std::string why_not;          // a phrase; empty when there is an alpha
};

// One arm's ratings of one question, from 1 (worst) to 5 (best).
struct ArmRating {
  stats::MeanInterval mean;  // over items; bootstrap over items
  double sd = 0;             // sample sd (n - 1) over all ratings; 0 for a single one
  int64_t ratings = 0;
  std::vector<int64_t> histogram;  // five counts: how many ratings were 1, 2, ..., 5
};

struct RatingSummary {
  std::string question;  // "readability" or "coherence"
  // Absent while there is no judgment.
  std::optional<ArmRating> baseline;
  std::optional<ArmRating> arm;
  std::optional<stats::MeanInterval> difference;  // arm - baseline, paired by item
  Agreement agreement;                            // a unit is one summary (of one item and arm)
};

// From the arm's side: a win is a preference for the arm, a loss one for the baseline.
struct PreferenceCounts {
  int64_t wins = 0;
  int64_t losses = 0;
  int64_t ties = 0;
};

struct PreferenceSummary {
  PreferenceCounts judgements;
  PreferenceCounts items;  // by majority of the item's judgments; no majority: a tie
  // items.wins of items.wins + items.losses, with Wilson's interval: ties say nothing about who is
  // better and are left out. Absent while there is neither a win nor a loss.
  std::optional<stats::Proportion> win_rate;
  Agreement agreement;  // a unit is one item
};

struct ReviewSummary {
  int schema = kReviewSummarySchema;
  std::string study;              // the evaluation's name
  std::string evaluation_sha256;  // EvaluationConfig::sha256 of the evaluation it was made from
  std::string baseline;           // eval::Arm::name
  std::string arm;                // eval::Arm::name
  std::string baseline_sha256;    // of the adapter; empty: the base model
  std::string arm_sha256;
  int64_t items = 0;              // dialogues in the study
  int64_t judged_items = 0;       // with at least one judgment
  int64_t annotators = 0;         // invited, the revoked ones included
  int64_t active_annotators = 0;  // with at least one judgment
  int64_t assigned = 0;           // judgments that are wanted of those whose link still works
  int64_t judgements = 0;
  int64_t unfinished = 0;    // answers begun that lack something; they are in no number here
  double overlap_share = 0;  // of the judged items, those that at least two people judged
  double confidence = 0.95;  // of all intervals
  int32_t resamples = 0;     // of the bootstrap
  std::vector<RatingSummary> ratings;  // readability, coherence
  PreferenceSummary preference;
  // A win is a judgment that the baseline's summary is the more offensive one, a tie one that
  // neither is. Absent: the study did not ask.
  std::optional<PreferenceSummary> less_offensive;
  std::vector<std::string> notes;  // sentences that a report shows beside the numbers
};

// JSON, two spaces of indentation, a newline at the end; numbers read back as the same double.
[[nodiscard]] std::string ReviewSummaryToJson(const ReviewSummary& summary);
// The object of that text.
[[nodiscard]] json::Value ValueOf(const ReviewSummary& summary);

// InvalidArgument: no JSON, a field that is missing or of another type (its path is named), or
// another schema. Fields that are not known are passed over.
[[nodiscard]] absl::StatusOr<ReviewSummary> ReviewSummaryFromJson(absl::string_view json);

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_REVIEW_SUMMARY_H_
