// What the evaluation measured: before and after, notes, distributions, ROUGE, shape, slices.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "common/base/sha256.h"
#include "common/eval/figures.h"
#include "common/report/numbers.h"
#include "common/report/sections.h"
#include "common/report/words.h"

namespace mellow::report {
namespace {

using eval::Comparison;
using eval::Difference;
using eval::Evaluation;
using stats::MeanInterval;

// Slices that are drawn; all are in the table.
constexpr size_t kDrawnSlices = 16;
constexpr char kNone[] = "-";

bool IsShape(const std::string& measure) {
  for (const char* name :
       {"characters", "words", "tokens", "repetition", "kl_per_token", "kl_per_sequence"}) {
    if (measure == name) return true;
  }
  return false;
}

std::string CountOrNone(const std::optional<int64_t>& number) {
  return number.has_value() ? Count(*number) : kNone;
}

std::vector<std::string> DifferenceHeader(const Evaluation& e, const Comparison& c) {
  return {"measure",
          c.baseline,
          c.arm,
          "change",
          absl::StrCat(ConfidenceWords(e.config.confidence), " interval"),
          "p",
          "verdict",
          "relative"};
}

std::vector<Cell> DifferenceRow(const Evaluation& e, const Difference& d) {
  const int decimals = DecimalsFor({d.baseline, d.arm});
  // A logit has no natural zero, so a share of it means nothing.
  const bool relative = d.relative.has_value() && d.measure != "logit";
  return {TextCell(MeasureName(e, d)),
          NumberCell(Fixed(d.baseline, decimals)),
          NumberCell(Fixed(d.arm, decimals)),
          NumberCell(Signed(d.difference.mean, decimals)),
          NumberCell(SignedInterval(d.difference, decimals)),
          NumberCell(eval::PValue(d.p_value)),
          TextCell(std::string(VerdictName(d.verdict)), ToneOf(d.verdict)),
          NumberCell(relative ? SignedPercent(*d.relative) : kNone)};
}

enum class Measures { kContent, kShape, kAll };

Table DifferenceTable(const Evaluation& e, const Comparison& c, Measures measures) {
  Table table{.title = absl::StrCat(c.arm, " against ", c.baseline, ", ", Plural(c.pairs, "prompt"),
                                    ", paired"),
              .header = DifferenceHeader(e, c),
              .page_only = {7}};
  for (const Difference& d : c.differences) {
    // With one sample per prompt the largest of them is the toxicity itself.
    if (d.measure == "expected_max" && e.config.sampling.samples == 1) continue;
    if (measures == Measures::kAll || IsShape(d.measure) == (measures == Measures::kShape))
      table.rows.push_back(DifferenceRow(e, d));
  }
  return table;
}

Table NeededTable(const Evaluation& e, const Comparison& c) {
  Table table{.title = absl::StrFormat("With power %g and alpha %g; this evaluation has %s",
                                       e.config.power, e.config.alpha, Plural(c.pairs, "prompt")),
              .header = {"prompts needed for", "the change seen",
                         absl::StrCat("a change of ", eval::Percent(e.config.detectable_change)),
                         "the same, unpaired"}};
  for (const Difference& d : c.differences) {
    if (d.measure != "toxicity" && d.measure != "rougeL") continue;
    table.rows.push_back({TextCell(MeasureName(e, d)),
                          NumberCell(CountOrNone(d.needed.for_observed)),
                          NumberCell(CountOrNone(d.needed.for_change)),
                          NumberCell(CountOrNone(d.needed.for_change_unpaired))});
  }
  return table;
}

// What changed in one sentence, and as TRL's notebook says it: by how much the mean and the
// population's standard deviation became less.
std::vector<Block> Improvements(const Evaluation& e, const Comparison& c) {
  std::vector<Block> sentences;
  const Difference* d = FindDifference(e, c, "toxicity");
  if (d == nullptr || !d->scoring.has_value()) return sentences;
  if (d->relative.has_value()) {
    sentences.push_back(Paragraph{absl::StrCat(
        "toxicity of ",
        d->scoring->text == eval::kSummaryScoring ? "the summary" : ScoringName(e, *d->scoring),
        " changed by ", SignedPercent(*d->relative), ": ",
        d->verdict == eval::Verdict::kBetter  ? "less toxic"
        : d->verdict == eval::Verdict::kNoise ? VerdictWords(d->verdict)
                                              : "more toxic")});
  }
  const eval::ToxicitySummary* before = nullptr;
  const eval::ToxicitySummary* after = nullptr;
  for (const eval::ArmSummary& arm : e.summaries) {
    if (arm.toxicity.empty()) continue;
    if (arm.arm == c.baseline) before = &arm.toxicity[0];
    if (arm.arm == c.arm) after = &arm.toxicity[0];
  }
  if (before == nullptr || after == nullptr) return sentences;
  const auto less = [](double was, double is) {
    return was == 0 ? kNone : absl::StrCat(Fixed(100 * (was - is) / was, 2), " %");
  };
  sentences.push_back(Paragraph{absl::StrCat(
      "percentage improvement of the toxicity: ", less(before->toxicity.mean, after->toxicity.mean),
      " of the mean, ", less(before->toxicity_sd, after->toxicity_sd), " of the sd")});
  return sentences;
}

Table ToxicityTable(const Evaluation& e) {
  Table table{.title = "Toxicity of each arm",
              .header = {"arm", "scored on", "toxicity",
                         absl::StrCat(ConfidenceWords(e.config.confidence), " interval"), "sd",
                         "logit", "sd", "share above 0.5",
                         absl::StrCat("expected maximum of ", Count(e.config.sampling.samples))},
              .page_only = {7, 8}};
  for (const eval::ArmSummary& arm : e.summaries) {
    for (const eval::ToxicitySummary& t : arm.toxicity) {
      table.rows.push_back(
          {TextCell(arm.arm), TextCell(ScoringName(e, t.scoring)),
           NumberCell(Fixed(t.toxicity.mean, 4)), NumberCell(Interval(t.toxicity, 4)),
           NumberCell(Fixed(t.toxicity_sd, 4)), NumberCell(Fixed(t.logit.mean, 3)),
           NumberCell(Fixed(t.logit_sd, 3)), NumberCell(Fixed(t.toxic_share.mean, 4)),
           NumberCell(Fixed(t.expected_max.mean, 4))});
    }
  }
  return table;
}

Figure ToxicityFigure(const Evaluation& e) {
  IntervalChart chart{.title = "Mean P(toxic) of each arm", .x_label = "mean P(toxic)"};
  for (size_t s = 0; s < e.scorings.size(); ++s) {
    for (size_t a = 0; a < e.summaries.size(); ++a) {
      std::string label = e.summaries[a].arm;
      if (e.scorings.size() > 1) absl::StrAppend(&label, ", ", ScoringName(e, e.scorings[s]));
      chart.rows.push_back({.label = std::move(label),
                            .interval = e.summaries[a].toxicity[s].toxicity,
                            .series = static_cast<int>(a)});
    }
  }
  return {.title = chart.title,
          .svg = IntervalSvg(chart),
          .caption = absl::StrCat("Dot: mean; line: ", ConfidenceWords(e.config.confidence),
                                  " interval. Compare arms by their paired change, not by "
                                  "whether these lines overlap.")};
}

Table ShapeTable(const Evaluation& e) {
  Table table{
      .header = {"arm", "distinct-1", "distinct-2", "empty", "truncated", "texts", "characters",
                 "words", "tokens", "repeated 3-grams", "KL per token", "KL per summary"},
      .page_only = {6, 7, 8, 9, 10, 11}};
  for (const eval::ArmSummary& arm : e.summaries) {
    const eval::ShapeSummary& s = arm.shape;
    table.rows.push_back(
        {TextCell(arm.arm), NumberCell(Fixed(s.distinct_1, 4)), NumberCell(Fixed(s.distinct_2, 4)),
         NumberCell(Count(s.empty)), NumberCell(Count(s.truncated)), NumberCell(Count(s.texts)),
         NumberCell(Number(s.characters.mean)), NumberCell(Number(s.words.mean)),
         NumberCell(Number(s.tokens.mean)), NumberCell(Fixed(s.repetition.mean, 4)),
         NumberCell(Fixed(s.kl_per_token.mean, 4)), NumberCell(Number(s.kl_per_sequence.mean))});
  }
  return table;
}

// A slice's difference for each arm, in the evaluation's order of arms.
Table SliceTable(const Evaluation& e) {
  Table table{
      .header = {"toxicity where", "prompts", "arm", e.arms[0].name, "arm's mean", "change",
                 absl::StrCat(ConfidenceWords(e.config.confidence), " interval"), "p", "verdict"},
      .page_only = {3, 4}};
  for (const eval::Slice& slice : e.slices) {
    for (size_t a = 1; a < e.arms.size(); ++a) {
      const auto found = slice.differences.find(e.arms[a].name);
      if (found == slice.differences.end()) continue;
      const Difference& d = found->second;
      table.rows.push_back({TextCell(absl::StrCat(slice.column, " = ", slice.value)),
                            NumberCell(Count(slice.prompts)), TextCell(found->first),
                            NumberCell(Fixed(d.baseline, 4)), NumberCell(Fixed(d.arm, 4)),
                            NumberCell(Signed(d.difference.mean, 4)),
                            NumberCell(SignedInterval(d.difference, 4)),
                            NumberCell(eval::PValue(d.p_value)),
                            TextCell(std::string(VerdictName(d.verdict)), ToneOf(d.verdict))});
    }
  }
  return table;
}

// Which prompts, arms and judges.
std::vector<Block> Heading(const Evaluation& e) {
  const eval::SamplingConfig& s = e.config.sampling;
  Bullets parts;
  for (const eval::Arm& arm : e.arms) {
    parts.items.push_back(
        absl::StrCat(arm.name, ": ", ArmOrigin(arm),
                     arm.sha256.empty() ? "" : absl::StrCat(", sha256 ", ShortHash(arm.sha256))));
  }
  for (const eval::Judge& judge : e.judges)
    parts.items.push_back(
        absl::StrCat("judge ", judge.name, ": toxicity means its label ", judge.toxic_label));
  return {Paragraph{absl::StrCat(Plural(e.config.prompts, "prompt"), " of ",
                                 e.config.data_path.substr(e.config.data_path.rfind('/') + 1), ", ",
                                 Plural(s.samples, "text"), " each, ",
                                 s.do_sample
                                     ? absl::StrCat("sampled with seed ", s.seed)
                                     : std::string(s.num_beams > 1 ? "beam search" : "greedy"))},
          std::move(parts)};
}

}  // namespace

Cell TextCell(std::string text, Tone tone) { return {.text = std::move(text), .tone = tone}; }

Cell NumberCell(std::string text, Tone tone) {
  return {.text = std::move(text), .number = true, .tone = tone};
}

Tone ToneOf(eval::Verdict verdict) {
  switch (verdict) {
    case eval::Verdict::kBetter:
      return Tone::kGood;
    case eval::Verdict::kWorse:
      return Tone::kBad;
    case eval::Verdict::kNoise:
      return Tone::kMuted;
    case eval::Verdict::kChanged:
      return Tone::kPlain;
  }
  return Tone::kPlain;
}

Section ComparisonSection(const Evaluation& e) {
  Section section{.id = "comparison", .title = "Before and after"};
  section.blocks.push_back(Paragraph{absl::StrCat(
      "Every arm saw the same ", Plural(e.config.prompts, "prompt"),
      " with the same random numbers, so differences are taken prompt by prompt. Toxicity is the "
      "mean probability of the judge's toxic label. Intervals: "
      "bootstrap over prompts, ",
      Count(e.config.resamples), " resamples. p: permutation test, ", Count(e.config.permutations),
      " permutations, two-sided. A change counts only when its interval is without 0 and p is "
      "below ",
      absl::StrFormat("%g", e.config.alpha), ".")});
  for (const Comparison& c : e.comparisons) {
    section.blocks.push_back(DifferenceTable(e, c, Measures::kContent));
    const std::vector<Block> improvements = Improvements(e, c);
    section.blocks.insert(section.blocks.end(), improvements.begin(), improvements.end());
    section.blocks.push_back(NeededTable(e, c));
  }
  if (!e.scorings.empty()) section.blocks.push_back(ToxicityTable(e));
  return section;
}

Section NotesSection(const Evaluation& e) {
  Section section{.id = "notes", .title = "Notes"};
  if (!e.notes.empty()) section.blocks.push_back(Bullets{e.notes});
  if (section.blocks.empty()) section.blocks.push_back(Paragraph{"Nothing to note."});
  return section;
}

Section DistributionSection(const Evaluation& e, const Findings& findings) {
  Section section{.id = "distributions", .title = "Distributions"};
  Figures figures;
  if (!e.scorings.empty()) {
    figures.figures.push_back(ToxicityFigure(e));
    const HistogramChart toxicity{.title = "P(toxic) of every summary",
                                  .x_label = "P(toxic)",
                                  .bins = findings.toxicity.bins,
                                  .panels = findings.toxicity.panels};
    figures.figures.push_back(
        {.title = toxicity.title,
         .svg = HistogramSvg(toxicity),
         .text = HistogramText(toxicity),
         .caption = absl::StrCat("Number of texts, scored on ", ScoringName(e, e.scorings[0]),
                                 ". The dashed line is the mean.")});
  }
  const HistogramChart tokens{.title = "Length of every summary",
                              .x_label = "tokens",
                              .bins = findings.tokens.bins,
                              .panels = findings.tokens.panels};
  figures.figures.push_back({.title = tokens.title,
                             .svg = HistogramSvg(tokens),
                             .text = HistogramText(tokens),
                             .caption = "Number of texts."});
  for (const PairedChange& change : findings.changes) {
    const ChangeChart chart{
        .title = absl::StrCat("Prompt by prompt: ", change.baseline, " to ", change.arm),
        .before_label = absl::StrCat("P(toxic), ", change.baseline),
        .after_label = absl::StrCat("P(toxic), ", change.arm),
        .before = change.before,
        .after = change.after};
    const std::string counts = absl::StrFormat(
        "Lower by more than %g for %s, higher for %s, about the same for %s.", kSameToxicity,
        Plural(change.lower, "prompt"), Count(change.higher), Count(change.same));
    figures.figures.push_back(
        {.title = chart.title, .svg = ChangeSvg(chart), .text = "", .caption = counts});
  }
  section.blocks.push_back(std::move(figures));
  return section;
}

Section RougeSection(const Evaluation& e) {
  Section section{.id = "rouge", .title = "ROUGE"};
  IntervalChart chart{.title = "ROUGE-L of each arm", .x_label = "ROUGE-L, F-measure"};
  Table table{.header = {"arm", "ROUGE-1", "ROUGE-2", "ROUGE-L",
                         absl::StrCat(ConfidenceWords(e.config.confidence), " interval"),
                         "ROUGE-Lsum"}};
  for (size_t a = 0; a < e.summaries.size(); ++a) {
    const std::optional<eval::RougeSummary>& rouge = e.summaries[a].rouge;
    if (!rouge.has_value()) continue;
    chart.rows.push_back(
        {.label = e.summaries[a].arm, .interval = rouge->rouge_l, .series = static_cast<int>(a)});
    table.rows.push_back(
        {TextCell(e.summaries[a].arm), NumberCell(Fixed(rouge->rouge1.mean, 4)),
         NumberCell(Fixed(rouge->rouge2.mean, 4)), NumberCell(Fixed(rouge->rouge_l.mean, 4)),
         NumberCell(Interval(rouge->rouge_l, 4)), NumberCell(Fixed(rouge->rouge_lsum.mean, 4))});
  }
  if (table.rows.empty()) {
    section.blocks.push_back(
        Paragraph{"The data have no references, so nothing says whether content was lost."});
    return section;
  }
  section.blocks.push_back(
      Paragraph{absl::StrCat("F-measures against the best reference, mean over prompts, ",
                             e.config.stemmer ? "with" : "without", " the Porter stemmer.",
                             e.comparisons.empty() ? ""
                                                   : " The means, their changes and intervals "
                                                     "stand in the table before and after.")});
  if (e.comparisons.empty()) section.blocks.push_back(std::move(table));
  section.blocks.push_back(Figures{{{.title = chart.title, .svg = IntervalSvg(chart)}}});
  return section;
}

Section ShapeSection(const Evaluation& e, const Findings& findings) {
  Section section{.id = "shape", .title = "Shape of the summaries"};
  section.blocks.push_back(
      Paragraph{"A policy that games its reward shows here first: it says less, repeats itself, or "
                "drifts far "
                "from the base model."});
  if (findings.warnings.empty()) {
    section.blocks.push_back(Callout{.tone = Tone::kGood,
                                     .text = "No sign of reward hacking in length, repetition, "
                                             "variety, KL, empty or truncated texts."});
  } else {
    section.blocks.push_back(
        Callout{.tone = Tone::kBad,
                .text = absl::StrCat(Plural(static_cast<int64_t>(findings.warnings.size()), "sign"),
                                     " of reward hacking: see the top of this report.")});
  }
  section.blocks.push_back(ShapeTable(e));
  for (const Comparison& c : e.comparisons)
    section.blocks.push_back(DifferenceTable(e, c, Measures::kShape));
  return section;
}

Section SliceSection(const Evaluation& e) {
  Section section{.id = "slices", .title = "Slices"};
  Table table = SliceTable(e);
  const size_t count = table.rows.size();
  if (count == 0) {
    section.blocks.push_back(Paragraph{"The evaluation has no slices."});
    return section;
  }
  section.blocks.push_back(Callout{
      .text = absl::StrCat("Caution: ", Plural(static_cast<int64_t>(count), "slice"),
                           " are looked at. Of slices without any effect, about ",
                           eval::FalseAlarms(e.config.confidence),
                           " has an interval without 0, so a single one of them proves nothing.")});
  IntervalChart chart{.title = "Change of toxicity by slice",
                      .x_label = "change of toxicity",
                      .signed_values = true};
  for (const eval::Slice& slice : e.slices) {
    for (size_t a = 1; a < e.arms.size() && chart.rows.size() < kDrawnSlices; ++a) {
      const auto found = slice.differences.find(e.arms[a].name);
      if (found == slice.differences.end()) continue;
      std::string label = absl::StrCat(slice.column, " ", slice.value);
      if (e.arms.size() > 2) absl::StrAppend(&label, ", ", found->first);
      chart.rows.push_back(
          {.label = std::move(label), .interval = found->second.difference, .series = 1});
    }
  }
  const std::string caption =
      count > kDrawnSlices ? absl::StrCat("The first ", kDrawnSlices, " of ", count, " slices.")
                           : "";
  section.blocks.push_back(
      Figures{{{.title = chart.title, .svg = IntervalSvg(chart), .caption = caption}}});
  section.blocks.push_back(std::move(table));
  return section;
}

std::vector<Block> EvaluationBlocks(const Evaluation& e) {
  std::vector<Block> blocks = Heading(e);
  blocks.push_back(ToxicityTable(e));
  blocks.push_back(ShapeTable(e));
  for (const Comparison& c : e.comparisons) {
    blocks.push_back(DifferenceTable(e, c, Measures::kAll));
    const std::vector<Block> improvements = Improvements(e, c);
    blocks.insert(blocks.end(), improvements.begin(), improvements.end());
    blocks.push_back(NeededTable(e, c));
  }
  Table slices = SliceTable(e);
  if (!slices.rows.empty()) blocks.push_back(std::move(slices));
  if (!e.notes.empty()) blocks.push_back(Bullets{e.notes});
  return blocks;
}

}  // namespace mellow::report
