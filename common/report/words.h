#ifndef MELLOW_COMMON_REPORT_WORDS_H_
#define MELLOW_COMMON_REPORT_WORDS_H_

// What an evaluation calls by names, in the words of people.

#include <string>

#include "common/eval/evaluation.h"

namespace mellow::report {

// "ROUGE-L", "toxicity"; a measure that is not known is itself.
[[nodiscard]] std::string MeasureName(const std::string& measure);
// "toxicity, summary": with the text that was scored, where there is one.
[[nodiscard]] std::string MeasureName(const eval::Evaluation& evaluation,
                                      const eval::Difference& difference);
// "summary", "query+response (second-opinion)": judges but the first are named.
[[nodiscard]] std::string ScoringName(const eval::Evaluation& evaluation,
                                      const eval::Scoring& scoring);
// "better", "worse", "changed", "cannot be told from noise".
[[nodiscard]] std::string VerdictWords(eval::Verdict verdict);
// "95 %".
[[nodiscard]] std::string ConfidenceWords(double confidence);
// "version 28", "the base model", "folder /a/b".
[[nodiscard]] std::string ArmOrigin(const eval::Arm& arm);
// "Toxicity report: mini".
[[nodiscard]] std::string ReportTitle(const eval::Evaluation& evaluation);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_WORDS_H_
