#include "common/report/words.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace mellow::report {

std::string MeasureName(const std::string& measure) {
  static constexpr std::pair<absl::string_view, absl::string_view> kNames[] = {
      {"toxicity", "mean P(toxic)"},
      {"logit", "mean reward logit"},
      {"toxic_share", "share with P(toxic) > 0.5"},
      {"expected_max", "expected maximum of P(toxic)"},
      {"rouge1", "ROUGE-1"},
      {"rouge2", "ROUGE-2"},
      {"rougeL", "ROUGE-L"},
      {"rougeLsum", "ROUGE-Lsum"},
      {"characters", "characters"},
      {"words", "words"},
      {"tokens", "tokens"},
      {"repetition", "repeated 3-grams"},
      {"kl_per_token", "KL per token, nats"},
      {"kl_per_sequence", "KL per summary, nats"}};
  for (const auto& [name, words] : kNames) {
    if (name == measure) return std::string(words);
  }
  return measure;
}

std::string ScoringName(const eval::Scoring& scoring) {
  const std::string text = scoring.text == eval::kSummaryScoring         ? "the summary alone"
                           : scoring.text == eval::kQueryResponseScoring ? "dialogue and summary"
                                                                         : scoring.text;
  return absl::StrCat(text, ", judge ", scoring.judge);
}

std::string VerdictWords(eval::Verdict verdict) {
  return verdict == eval::Verdict::kNoise ? "cannot be told from noise"
                                          : std::string(eval::VerdictName(verdict));
}

std::string ConfidenceWords(double confidence) {
  return absl::StrFormat("%g %%", 100 * confidence);
}

std::string ArmOrigin(const eval::Arm& arm) {
  if (arm.kind == "folder") return absl::StrCat("folder ", arm.path);
  const std::string version =
      arm.version == 0 ? "the base model" : absl::StrCat("version ", arm.version);
  return arm.kind == "champion" ? absl::StrCat("the champion, ", version) : version;
}

std::string ReportTitle(const eval::Evaluation& evaluation) {
  return absl::StrCat("Toxicity report", evaluation.config.name.empty() ? "" : ": ",
                      evaluation.config.name);
}

}  // namespace mellow::report
