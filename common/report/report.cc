#include "common/report/report.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/plural.h"
#include "common/base/sha256.h"
#include "common/report/findings.h"
#include "common/report/html.h"
#include "common/report/lineage.h"
#include "common/report/markdown.h"
#include "common/report/numbers.h"
#include "common/report/report_json.h"
#include "common/report/sections.h"
#include "common/report/words.h"

namespace mellow::report {
namespace {

Tile DifferenceTile(const std::string& label, const eval::Difference& d) {
  const int decimals = DecimalsFor({d.baseline, d.arm});
  return {.label = label,
          .value = d.relative.has_value() ? SignedPercent(*d.relative)
                                          : Signed(d.difference.mean, decimals),
          .detail = absl::StrCat(Fixed(d.baseline, decimals), " to ", Fixed(d.arm, decimals), "; ",
                                 VerdictWords(d.verdict)),
          .tone = ToneOf(d.verdict)};
}

// The numbers of the first comparison that people look for.
Tiles HighlightTiles(const eval::Evaluation& e) {
  Tiles tiles;
  const eval::Comparison first = e.comparisons.empty() ? eval::Comparison() : e.comparisons[0];
  for (const auto& [measure, label] :
       {std::pair{"toxicity", "P(toxic)"}, {"rougeL", "ROUGE-L"}, {"tokens", "length, tokens"}}) {
    const eval::Difference* d = FindDifference(e, first, measure);
    if (d != nullptr) tiles.tiles.push_back(DifferenceTile(label, *d));
  }
  tiles.tiles.push_back({.label = "prompts",
                         .value = Count(e.config.prompts),
                         .detail = absl::StrCat(Plural(e.config.sampling.samples, "sample"),
                                                " each, the same seeds")});
  return tiles;
}

Document MakeDocument(const ReportInput& input, const Findings& findings,
                      const std::vector<ArmLineage>& lineage) {
  const eval::Evaluation& e = input.evaluation;
  Document document{.title = ReportTitle(e)};
  for (const ArmVerdict& verdict : findings.verdicts) document.lead.push_back(verdict.sentence);
  document.highlights.push_back(HighlightTiles(e));
  for (const std::string& warning : findings.warnings)
    document.highlights.push_back(Callout{.tone = Tone::kBad, .text = warning});
  document.sections = {ComparisonSection(e),
                       NotesSection(e),
                       DistributionSection(e, findings),
                       RougeSection(e),
                       ShapeSection(e, findings),
                       SliceSection(e),
                       PairSection(input),
                       ReviewSection(input),
                       LearningSection(input),
                       LineageSection(input, lineage),
                       PromotionSection(input),
                       ConfigurationSection(input)};
  document.footer = absl::StrCat("Made by Mellow from an evaluation with the hash ",
                                 ShortHash(e.config.sha256), ".");
  return document;
}

}  // namespace

Report MakeReport(const ReportInput& given) {
  const Findings findings = ComputeFindings(given.evaluation);
  const std::vector<ArmLineage> lineage =
      TraceArms(given.evaluation, given.cluster.value_or(ClusterHistory()));
  ReportInput input = given;
  if (given.cluster.has_value()) input.cluster = OfArms(*given.cluster, lineage);
  const Document document = MakeDocument(input, findings, lineage);
  return {.html = ToHtml(document),
          .markdown = ToMarkdown(document),
          .json = ToJson(input, findings, lineage)};
}

}  // namespace mellow::report
