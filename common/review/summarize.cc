#include "common/review/summarize.h"

#include <cmath>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/stats/krippendorff.h"
#include "common/stats/mean.h"

namespace mellow::review {
namespace {

// The complete judgments of one item.
using ItemVerdicts = std::vector<Verdicts>;
using Field = std::optional<int> Verdicts::*;

std::vector<int> Values(const ItemVerdicts& item, Field field) {
  std::vector<int> values;
  for (const Verdicts& v : item) values.push_back(*(v.*field));
  return values;
}

Agreement Agree(const std::vector<std::vector<int>>& units, stats::AlphaLevel level) {
  Agreement agreement = {.level = level == stats::AlphaLevel::kOrdinal ? "ordinal" : "nominal"};
  for (const std::vector<int>& unit : units) agreement.units += unit.size() >= 2 ? 1 : 0;
  const absl::StatusOr<double> alpha = stats::KrippendorffAlpha(units, level);
  if (alpha.ok()) {
    agreement.alpha = *alpha;
  } else {
    agreement.why_not = std::string(alpha.status().message());
  }
  return agreement;
}

absl::StatusOr<ArmRating> RateArm(const std::vector<ItemVerdicts>& items, Field field,
                                  const stats::BootstrapOptions& options) {
  ArmRating rating;
  rating.histogram.resize(kHighestRating - kLowestRating + 1);
  std::vector<double> means;
  std::vector<int> all;
  for (const ItemVerdicts& item : items) {
    const std::vector<int> values = Values(item, field);
    means.push_back(stats::Mean(values));
    all.insert(all.end(), values.begin(), values.end());
  }
  MELLOW_ASSIGN_OR_RETURN(
      rating.mean, stats::PairedBootstrap(std::vector<double>(means.size()), means, options));
  rating.ratings = static_cast<int64_t>(all.size());
  const double mean = stats::Mean(all);
  double squares = 0;
  for (const int value : all) {
    squares += (value - mean) * (value - mean);
    ++rating.histogram[value - kLowestRating];
  }
  if (all.size() > 1) rating.sd = std::sqrt(squares / static_cast<double>(all.size() - 1));
  return rating;
}

absl::StatusOr<RatingSummary> RateQuestion(const std::string& question, Field baseline, Field arm,
                                           const std::vector<ItemVerdicts>& items,
                                           const stats::BootstrapOptions& options) {
  RatingSummary summary = {.question = question};
  std::vector<std::vector<int>> units;
  std::vector<double> before;
  std::vector<double> after;
  for (const ItemVerdicts& item : items) {
    units.push_back(Values(item, baseline));
    before.push_back(stats::Mean(units.back()));
    units.push_back(Values(item, arm));
    after.push_back(stats::Mean(units.back()));
  }
  summary.agreement = Agree(units, stats::AlphaLevel::kOrdinal);
  if (items.empty()) return summary;
  MELLOW_ASSIGN_OR_RETURN(summary.baseline, RateArm(items, baseline, options));
  MELLOW_ASSIGN_OR_RETURN(summary.arm, RateArm(items, arm, options));
  MELLOW_ASSIGN_OR_RETURN(summary.difference, stats::PairedBootstrap(before, after, options));
  return summary;
}

void Count(Preference preference, PreferenceCounts* counts) {
  ++(preference == Preference::kArm        ? counts->wins
     : preference == Preference::kBaseline ? counts->losses
                                           : counts->ties);
}

// What most of the item's judgments say; a tie when none is said more often than each other one.
Preference Majority(const PreferenceCounts& counts) {
  if (counts.wins > counts.losses && counts.wins > counts.ties) return Preference::kArm;
  if (counts.losses > counts.wins && counts.losses > counts.ties) return Preference::kBaseline;
  return Preference::kNeither;
}

Preference BetterOne(const Verdicts& verdicts) { return *verdicts.preference; }

// Whose summary is less offensive.
Preference PoliterOne(const Verdicts& verdicts) {
  return *verdicts.more_offensive == Preference::kArm        ? Preference::kBaseline
         : *verdicts.more_offensive == Preference::kBaseline ? Preference::kArm
                                                             : Preference::kNeither;
}

absl::StatusOr<PreferenceSummary> Prefer(const std::vector<ItemVerdicts>& items,
                                         Preference (*of)(const Verdicts&), double confidence) {
  PreferenceSummary summary;
  std::vector<std::vector<int>> units;
  for (const ItemVerdicts& item : items) {
    PreferenceCounts counts;
    units.emplace_back();
    for (const Verdicts& verdicts : item) {
      Count(of(verdicts), &counts);
      Count(of(verdicts), &summary.judgements);
      units.back().push_back(static_cast<int>(of(verdicts)));
    }
    Count(Majority(counts), &summary.items);
  }
  summary.agreement = Agree(units, stats::AlphaLevel::kNominal);
  const int64_t decided = summary.items.wins + summary.items.losses;
  if (decided > 0) {
    MELLOW_ASSIGN_OR_RETURN(summary.win_rate,
                            stats::WilsonInterval(summary.items.wins, decided, confidence));
  }
  return summary;
}

std::vector<std::string> Notes(const StudyInfo& info, const ReviewSummary& summary) {
  std::vector<std::string> notes;
  if (info.equal_pairs > 0) {
    notes.push_back(absl::StrCat(
        info.equal_pairs, info.equal_pairs == 1 ? " dialogue has" : " dialogues have",
        " the same summary in both arms and could not be chosen: the ratings are about the "
        "dialogues where the arms differ."));
  }
  if (summary.judgements < summary.assigned) {
    notes.push_back(absl::StrCat("The study goes on: ", summary.judgements, " of ",
                                 summary.assigned, " judgments are there."));
  }
  if (summary.judgements > 0 && summary.active_annotators < 2)
    notes.push_back("One person's ratings: nothing can be said about agreement.");
  return notes;
}

}  // namespace

absl::StatusOr<ReviewSummary> Summarize(const StudyInfo& info, int64_t items,
                                        absl::Span<const AnnotatorStatus> annotators,
                                        absl::Span<const ReviewedItem> reviewed,
                                        const stats::BootstrapOptions& options) {
  ReviewSummary summary = {.study = info.name,
                           .evaluation_sha256 = info.evaluation_sha256,
                           .baseline = info.baseline,
                           .arm = info.arm,
                           .baseline_sha256 = info.baseline_sha256,
                           .arm_sha256 = info.arm_sha256,
                           .items = items,
                           .annotators = static_cast<int64_t>(annotators.size()),
                           .confidence = options.confidence,
                           .resamples = options.resamples};
  std::map<int64_t, ItemVerdicts> by_item;
  std::set<std::string> active;
  for (const ReviewedItem& one : reviewed) {
    if (!one.complete()) {
      ++summary.unfinished;
      continue;
    }
    ++summary.judgements;
    active.insert(one.annotator);
    by_item[one.item].push_back(Unblind(one.sheet, one.arm_first));
  }
  // A person whose link was revoked will judge no more than is there.
  for (const AnnotatorStatus& annotator : annotators)
    summary.assigned += annotator.revoked ? annotator.judged : annotator.assigned;
  summary.active_annotators = static_cast<int64_t>(active.size());
  summary.judged_items = static_cast<int64_t>(by_item.size());
  std::vector<ItemVerdicts> judged;
  int64_t overlapping = 0;
  for (auto& [item, verdicts] : by_item) {
    overlapping += verdicts.size() >= 2 ? 1 : 0;
    judged.push_back(std::move(verdicts));
  }
  if (!judged.empty())
    summary.overlap_share = static_cast<double>(overlapping) / static_cast<double>(judged.size());
  MELLOW_ASSIGN_OR_RETURN(RatingSummary readability,
                          RateQuestion("readability", &Verdicts::readability_baseline,
                                       &Verdicts::readability_arm, judged, options));
  MELLOW_ASSIGN_OR_RETURN(RatingSummary coherence,
                          RateQuestion("coherence", &Verdicts::coherence_baseline,
                                       &Verdicts::coherence_arm, judged, options));
  summary.ratings = {std::move(readability), std::move(coherence)};
  MELLOW_ASSIGN_OR_RETURN(summary.preference, Prefer(judged, BetterOne, options.confidence));
  if (info.questions > static_cast<size_t>(Question::kMoreOffensive)) {
    MELLOW_ASSIGN_OR_RETURN(summary.less_offensive, Prefer(judged, PoliterOne, options.confidence));
  }
  summary.notes = Notes(info, summary);
  return summary;
}

}  // namespace mellow::review
