#include "common/json/struct_json.h"
#include "common/review/review_summary.h"
#include "common/stats/fields.h"

namespace mellow::review {

// The fields of every struct, for struct_json.h.

template <typename F>
void Fields(F& f, Agreement& x) {
  f("level", x.level);
  f("alpha", x.alpha);
  f("units", x.units);
  f("why_not", x.why_not);
}
template <typename F>
void Fields(F& f, ArmRating& x) {
  f("mean", x.mean);
  f("sd", x.sd);
  f("ratings", x.ratings);
  f("histogram", x.histogram);
}
template <typename F>
void Fields(F& f, RatingSummary& x) {
  f("question", x.question);
  f("baseline", x.baseline);
  f("arm", x.arm);
  f("difference", x.difference);
  f("agreement", x.agreement);
}
template <typename F>
void Fields(F& f, PreferenceCounts& x) {
  f("wins", x.wins);
  f("losses", x.losses);
  f("ties", x.ties);
}
template <typename F>
void Fields(F& f, PreferenceSummary& x) {
  f("judgements", x.judgements);
  f("items", x.items);
  f("win_rate", x.win_rate);
  f("agreement", x.agreement);
}
template <typename F>
void Fields(F& f, ReviewSummary& x) {
  f("schema", x.schema);
  f("study", x.study);
  f("evaluation_sha256", x.evaluation_sha256);
  f("baseline", x.baseline);
  f("arm", x.arm);
  f("baseline_sha256", x.baseline_sha256);
  f("arm_sha256", x.arm_sha256);
  f("items", x.items);
  f("judged_items", x.judged_items);
  f("annotators", x.annotators);
  f("active_annotators", x.active_annotators);
  f("assigned", x.assigned);
  f("judgements", x.judgements);
  f("unfinished", x.unfinished);
  f("overlap_share", x.overlap_share);
  f("confidence", x.confidence);
  f("resamples", x.resamples);
  f("ratings", x.ratings);
  f("preference", x.preference);
  f("less_offensive", x.less_offensive);
  f("notes", x.notes);
}

json::Value ValueOf(const ReviewSummary& summary) { return json::StructWriter::Write(summary); }

std::string ReviewSummaryToJson(const ReviewSummary& summary) {
  return json::StructToJson(summary, 2) + "\n";
}

absl::StatusOr<ReviewSummary> ReviewSummaryFromJson(absl::string_view text) {
  return json::StructFromJson<ReviewSummary>(text, kReviewSummarySchema, "review summaries");
}

}  // namespace mellow::review
