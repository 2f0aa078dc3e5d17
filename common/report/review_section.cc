// What people said.

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/plural.h"
#include "common/base/sha256.h"
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

std::string MeanAndSd(const std::optional<review::ArmRating>& rating) {
  return rating.has_value() ? absl::StrFormat("%.2f (sd %.2f)", rating->mean.mean, rating->sd)
                            : "-";
}

std::string Histogram(const std::optional<review::ArmRating>& rating) {
  return rating.has_value() ? absl::StrJoin(rating->histogram, ", ") : "-";
}

Table RatingTable(const ReviewSummary& r) {
  Table table{.header = {"rating, 1 to 5", r.baseline, r.arm, "change",
                         absl::StrCat(ConfidenceWords(r.confidence), " interval"), "alpha",
                         absl::StrCat("1 to 5, ", r.baseline), absl::StrCat("1 to 5, ", r.arm)},
              .page_only = {6, 7}};
  for (const review::RatingSummary& rating : r.ratings) {
    const std::optional<double>& alpha = rating.agreement.alpha;
    table.rows.push_back(
        {TextCell(rating.question), NumberCell(MeanAndSd(rating.baseline)),
         NumberCell(MeanAndSd(rating.arm)),
         NumberCell(rating.difference ? Signed(rating.difference->mean, 2) : "-"),
         NumberCell(rating.difference ? SignedInterval(*rating.difference, 2) : "-"),
         NumberCell(alpha ? Fixed(*alpha, 3) : "-"), NumberCell(Histogram(rating.baseline)),
         NumberCell(Histogram(rating.arm))});
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

// What was judged, and what was preferred.
std::vector<Block> Opening(const ReviewSummary& r) {
  std::vector<Block> blocks = {
      Paragraph{absl::StrCat(r.study, ": ", r.arm, " against ", r.baseline)},
      Paragraph{absl::StrFormat(
          "%s of %s by %s of %s; %s of %s judged, %s of them by two people or more. Arms were "
          "blind and shuffled.",
          Count(r.judgements), Plural(r.assigned, "judgment"), Count(r.active_annotators),
          Plural(r.annotators, "person", "people"), Count(r.judged_items),
          Plural(r.items, "dialogue"), Percent(r.overlap_share))}};
  if (r.unfinished > 0)
    blocks.push_back(
        Paragraph{absl::StrCat(Count(r.unfinished), " begun and not complete: not counted.")});
  if (r.judgements == 0) return blocks;
  blocks.push_back(RatingTable(r));
  blocks.push_back(PreferenceTable(r));
  blocks.push_back(Paragraph{WinWords(r)});
  if (r.less_offensive.has_value()) {
    blocks.push_back(OffenseTable(r));
    blocks.push_back(Paragraph{OffenseWords(r)});
  }
  return blocks;
}

std::vector<Block> Closing(const ReviewSummary& r) {
  Bullets agreement;
  for (const review::RatingSummary& rating : r.ratings)
    agreement.items.push_back(absl::StrCat(rating.question, ": ", AlphaWords(rating.agreement)));
  agreement.items.push_back(absl::StrCat("preference: ", AlphaWords(r.preference.agreement)));
  if (r.less_offensive.has_value())
    agreement.items.push_back(
        absl::StrCat("more offensive: ", AlphaWords(r.less_offensive->agreement)));
  std::vector<Block> blocks;
  if (r.judgements > 0) blocks.push_back(std::move(agreement));
  if (!r.notes.empty()) blocks.push_back(Bullets{r.notes});
  return blocks;
}

void Append(const std::vector<Block>& more, std::vector<Block>* blocks) {
  blocks->insert(blocks->end(), more.begin(), more.end());
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
  Append(Opening(r), &section.blocks);
  IntervalChart chart{.title = "Change of the mean rating, paired by dialogue",
                      .x_label = absl::StrCat("points, ", r.arm, " minus ", r.baseline),
                      .signed_values = true};
  for (const review::RatingSummary& rating : r.ratings) {
    if (rating.difference.has_value())
      chart.rows.push_back({.label = rating.question, .interval = *rating.difference, .series = 1});
  }
  if (!chart.rows.empty())
    section.blocks.push_back(Figures{{{.title = chart.title, .svg = IntervalSvg(chart)}}});
  Append(Closing(r), &section.blocks);
  return section;
}

std::vector<Block> ReviewBlocks(const ReviewSummary& r) {
  std::vector<Block> blocks = Opening(r);
  Append(Closing(r), &blocks);
  return blocks;
}

}  // namespace mellow::report
