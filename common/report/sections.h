#ifndef MELLOW_COMMON_REPORT_SECTIONS_H_
#define MELLOW_COMMON_REPORT_SECTIONS_H_

// The parts of a report's document (document.h), in the order in which they stand.

#include "common/report/document.h"
#include "common/report/findings.h"
#include "common/report/input.h"
#include "common/report/lineage.h"

namespace mellow::report {

[[nodiscard]] Section ComparisonSection(const eval::Evaluation& evaluation);
[[nodiscard]] Section NotesSection(const eval::Evaluation& evaluation);
[[nodiscard]] Section DistributionSection(const eval::Evaluation& evaluation,
                                          const Findings& findings);
[[nodiscard]] Section RougeSection(const eval::Evaluation& evaluation);
[[nodiscard]] Section ShapeSection(const eval::Evaluation& evaluation, const Findings& findings);
[[nodiscard]] Section SliceSection(const eval::Evaluation& evaluation);
[[nodiscard]] Section PairSection(const ReportInput& input);
[[nodiscard]] Section ReviewSection(const ReportInput& input);
[[nodiscard]] Section LearningSection(const ReportInput& input);
[[nodiscard]] Section LineageSection(const ReportInput& input,
                                     const std::vector<ArmLineage>& lineage);
[[nodiscard]] Section PromotionSection(const ReportInput& input);
[[nodiscard]] Section ConfigurationSection(const ReportInput& input);

// What a terminal shows of an evaluation and of a study: blocks of the sections above, fewer of
// them.
[[nodiscard]] std::vector<Block> EvaluationBlocks(const eval::Evaluation& evaluation);
[[nodiscard]] std::vector<Block> ReviewBlocks(const review::ReviewSummary& review);

// Cells.
[[nodiscard]] Cell TextCell(std::string text, Tone tone = Tone::kPlain);
[[nodiscard]] Cell NumberCell(std::string text, Tone tone = Tone::kPlain);
[[nodiscard]] Tone ToneOf(eval::Verdict verdict);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_SECTIONS_H_
