// What people said.

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/report/numbers.h"
#include "common/report/sections.h"
#include "common/report/words.h"

namespace mellow::report {
namespace {

using review::ReviewSummary;

std::string AlphaWords(const review::Agreement& agreement) {
  const std::string what = absl::StrCat("Krippendorff's alpha, ", agreement.level, ": ");
  return agreement.alpha.has_value() ? absl::StrCat(what, Fixed(*agreement.alpha, 3), " over ",
                                                    Plural(agreement.units, "unit"))
                                     : absl::StrCat(what, "not defined, ", agreement.why_not);
}

std::string WinWords(const ReviewSummary& r) {
  if (!r.preference.win_rate.has_value())
    return absl::StrCat("Nobody has preferred ", r.arm, " or ", r.baseline, " yet.");
  const stats::Proportion& win = *r.preference.win_rate;
  const char* verdict = win.lower > 0.5   ? "people prefer it"
                        : win.upper < 0.5 ? "people prefer the other"
                                          : "which one people prefer cannot be told from noise";
  return absl::StrCat(r.arm, " wins ", Percent(win.rate), " of the ",
                      Plural(win.trials, "dialogue"), " in which people had a preference (",
                      ConfidenceWords(r.confidence), " Wilson interval ", Percent(win.lower),
                      " to ", Percent(win.upper), "): ", verdict, ".");
}

Table RatingTable(const ReviewSummary& r) {
  const std::string interval = absl::StrCat(ConfidenceWords(r.confidence), " interval");
  Table table{.title = "Ratings from 1 (worst) to 5 (best)",
              .header = {"question", "arm", "mean", interval, "sd", "ratings", "1, 2, 3, 4, 5"}};
  const auto add = [&](const std::string& question, const std::string& arm,
                       const std::optional<review::ArmRating>& rating) {
    if (!rating.has_value()) return;
    table.rows.push_back(
        {TextCell(question), TextCell(arm), NumberCell(Fixed(rating->mean.mean, 2)),
         NumberCell(Interval(rating->mean, 2)), NumberCell(Fixed(rating->sd, 2)),
         NumberCell(Count(rating->ratings)), NumberCell(absl::StrJoin(rating->histogram, ", "))});
  };
  for (const review::RatingSummary& rating : r.ratings) {
    add(rating.question, r.baseline, rating.baseline);
    add(rating.question, r.arm, rating.arm);
  }
  return table;
}

std::string OffenseWords(const ReviewSummary& r) {
  const std::optional<stats::Proportion>& rate = r.less_offensive->win_rate;
  if (!rate.has_value())
    return absl::StrCat("Nobody has called ", r.arm, " or ", r.baseline, " the more offensive.");
  const char* verdict = rate->lower > 0.5   ? "people find it less offensive"
                        : rate->upper < 0.5 ? "people find it more offensive"
                                            : "which one offends more cannot be told from noise";
  return absl::StrCat(r.baseline, " is the more offensive one in ", Percent(rate->rate), " of the ",
                      Plural(rate->trials, "dialogue"), " in which people called one so (",
                      ConfidenceWords(r.confidence), " Wilson interval ", Percent(rate->lower),
                      " to ", Percent(rate->upper), "): of ", r.arm, ", ", verdict, ".");
}

Table OffenseTable(const ReviewSummary& r) {
  const auto row = [&](const char* name, const review::PreferenceCounts& counts) {
    return std::vector<Cell>{TextCell(name), NumberCell(Count(counts.losses)),
                             NumberCell(Count(counts.wins)), NumberCell(Count(counts.ties))};
  };
  return {.title = "Which summary is more offensive",
          .header = {"counted by", r.arm, r.baseline, "neither"},
          .rows = {row("dialogues, by majority", r.less_offensive->items),
                   row("judgments", r.less_offensive->judgements)}};
}

Table PreferenceTable(const ReviewSummary& r) {
  const auto row = [&](const char* name, const review::PreferenceCounts& counts) {
    return std::vector<Cell>{TextCell(name), NumberCell(Count(counts.wins)),
                             NumberCell(Count(counts.losses)), NumberCell(Count(counts.ties))};
  };
  return {.title = "Which summary is better",
          .header = {"counted by", absl::StrCat(r.arm, " wins"), absl::StrCat(r.baseline, " wins"),
                     "ties"},
          .rows = {row("dialogues, by majority", r.preference.items),
                   row("judgments", r.preference.judgements)}};
}

}  // namespace

Section ReviewSection(const ReportInput& input) {
  Section section{.id = "people", .title = "Human evaluation"};
  if (!input.review.has_value()) {
    section.blocks.push_back(
        Paragraph{"Left out: no summary of people's ratings was given (--review)."});
    return section;
  }
  const ReviewSummary& r = *input.review;
  if (r.evaluation_sha256 != input.evaluation.config.sha256) {
    section.blocks.push_back(
        Callout{.tone = Tone::kBad,
                .text = absl::StrCat("These ratings are of another evaluation (",
                                     ShortHash(r.evaluation_sha256), ", this one is ",
                                     ShortHash(input.evaluation.config.sha256), ").")});
  }
  section.blocks.push_back(Paragraph{WinWords(r)});
  section.blocks.push_back(Paragraph{
      absl::StrCat(Plural(r.judgements, "judgment"), " of ", Count(r.assigned), " wanted, by ",
                   Plural(r.active_annotators, "annotator"), ", on ", Count(r.judged_items), " of ",
                   Plural(r.items, "dialogue"), "; ", Percent(r.overlap_share),
                   " of these were judged by at least two people. Arms were blind and shuffled.")});
  section.blocks.push_back(PreferenceTable(r));
  if (r.less_offensive.has_value()) {
    section.blocks.push_back(Paragraph{OffenseWords(r)});
    section.blocks.push_back(OffenseTable(r));
  }
  const Table ratings = RatingTable(r);
  if (!ratings.rows.empty()) section.blocks.push_back(ratings);
  IntervalChart chart{.title = "Change of the mean rating, paired by dialogue",
                      .x_label = absl::StrCat("points, ", r.arm, " minus ", r.baseline),
                      .signed_values = true};
  Bullets agreement;
  for (const review::RatingSummary& rating : r.ratings) {
    if (rating.difference.has_value())
      chart.rows.push_back({.label = rating.question, .interval = *rating.difference, .series = 1});
    agreement.items.push_back(absl::StrCat(rating.question, ": ", AlphaWords(rating.agreement)));
  }
  agreement.items.push_back(absl::StrCat("preference: ", AlphaWords(r.preference.agreement)));
  if (r.less_offensive.has_value())
    agreement.items.push_back(
        absl::StrCat("more offensive: ", AlphaWords(r.less_offensive->agreement)));
  if (!chart.rows.empty())
    section.blocks.push_back(Figures{{{.title = chart.title, .svg = IntervalSvg(chart)}}});
  section.blocks.push_back(std::move(agreement));
  if (!r.notes.empty()) section.blocks.push_back(Bullets{r.notes});
  return section;
}

}  // namespace mellow::report
