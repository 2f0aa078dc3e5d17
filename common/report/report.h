#ifndef MELLOW_COMMON_REPORT_REPORT_H_
#define MELLOW_COMMON_REPORT_REPORT_H_

// An evaluation and what is known around it as a report for people and for programs. Pure: equal
// inputs give equal bytes; there is no clock in it. All texts of the input are taken as hostile.

#include <string>

#include "common/report/input.h"

namespace mellow::report {

// The same report three times.
struct Report {
  // One self-contained page: no script, no network; light and dark; prints.
  std::string html;
  // GitHub's Markdown; charts as lines of text.
  std::string markdown;
  // Every number unrounded: {"schema": 1, "title", "verdicts", "warnings", "evaluation" (without
  // rows), "distributions", "changes", "pairs", "cluster", "lineage", "review"}. What was left out
  // is null.
  std::string json;
};

// `input.evaluation` keeps what EvaluationFromJson checks. Of `input.cluster` the report has what
// the evaluation's arms come from, not the other runs of it.
[[nodiscard]] Report MakeReport(const ReportInput& input);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_REPORT_H_
