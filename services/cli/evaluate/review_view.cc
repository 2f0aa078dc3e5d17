#include "services/cli/evaluate/review_view.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr int kWidth = 78;

std::string MeanAndSd(const std::optional<review::ArmRating>& rating) {
  return rating.has_value() ? absl::StrFormat("%.2f (sd %.2f)", rating->mean.mean, rating->sd)
                            : "-";
}

std::string Alpha(const review::Agreement& agreement) {
  return agreement.alpha.has_value() ? absl::StrFormat("%.3f", *agreement.alpha) : "-";
}

std::vector<std::string> PreferenceRow(const char* of, const review::PreferenceCounts& counts) {
  return {of, absl::StrCat(counts.wins), absl::StrCat(counts.ties), absl::StrCat(counts.losses)};
}

}  // namespace

std::string FormatReviewSummary(const review::ReviewSummary& s) {
  std::string out = absl::StrFormat(
      "%s: %s against %s\n%d of %d judgments by %d of %d people; %d of %d dialogues judged, "
      "%.0f %% of them by two or more\n",
      PrintableLine(s.study), PrintableLine(s.arm), PrintableLine(s.baseline), s.judgements,
      s.assigned, s.active_annotators, s.annotators, s.judged_items, s.items,
      100 * s.overlap_share);
  if (s.unfinished > 0)
    absl::StrAppend(&out, s.unfinished, " begun and not complete: not counted\n");
  if (s.judgements > 0) {
    std::vector<std::vector<std::string>> ratings = {
        {"rating, 1 to 5", s.baseline, s.arm, "change", "95 % interval", "alpha"}};
    ratings[0][4] = absl::StrFormat("%g %% interval", 100 * s.confidence);
    for (const review::RatingSummary& r : s.ratings) {
      std::vector<std::string> row = {r.question, MeanAndSd(r.baseline), MeanAndSd(r.arm), "-",
                                      "-",        Alpha(r.agreement)};
      if (r.difference.has_value()) {
        row[3] = absl::StrFormat("%+.2f", r.difference->mean);
        row[4] = absl::StrFormat("[%+.2f, %+.2f]", r.difference->lower, r.difference->upper);
      }
      ratings.push_back(std::move(row));
    }
    absl::StrAppend(&out, "\n", FormatTable(ratings), "\n",
                    FormatTable({{"preference", s.arm, "tie", s.baseline},
                                 PreferenceRow("judgments", s.preference.judgements),
                                 PreferenceRow("dialogues", s.preference.items)}));
    if (s.less_offensive.has_value()) {
      absl::StrAppend(&out, "\n",
                      FormatTable({{"less offensive", s.arm, "neither", s.baseline},
                                   PreferenceRow("judgments", s.less_offensive->judgements),
                                   PreferenceRow("dialogues", s.less_offensive->items)}));
    }
    if (const auto& rate = s.preference.win_rate; rate.has_value()) {
      absl::StrAppend(
          &out, "\n",
          absl::StrFormat("%s wins %.1f %% of the %d dialogues that are no tie, %g %% interval "
                          "[%.1f, %.1f] %%\n",
                          PrintableLine(s.arm), 100 * rate->rate, rate->trials, 100 * s.confidence,
                          100 * rate->lower, 100 * rate->upper));
    }
    const review::Agreement& agreement = s.preference.agreement;
    absl::StrAppend(
        &out, "agreement on the preference: alpha ", Alpha(agreement),
        agreement.why_not.empty() ? "" : absl::StrCat(" (", PrintableLine(agreement.why_not), ")"),
        "\n");
  }
  for (const std::string& note : s.notes) absl::StrAppend(&out, "\n", Wrap(note, kWidth, ""));
  return out;
}

}  // namespace mellow::cli
