#include "common/report/words.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace mellow::report {

std::string MeasureName(const std::string& measure) {
  static constexpr std::pair<absl::string_view, absl::string_view> kNames[] = {
      {"toxicity", "toxicity"},
      {"logit", "logit"},
      {"toxic_share", "toxic share"},
      {"expected_max", "expected maximum"},
      {"rouge1", "ROUGE-1"},
      {"rouge2", "ROUGE-2"},
      {"rougeL", "ROUGE-L"},
      {"rougeLsum", "ROUGE-Lsum"},
      {"characters", "characters"},
      {"words", "words"},
      {"tokens", "tokens"},
      {"repetition", "repeated 3-grams"},
      {"kl_per_token", "KL per token, nats"},
      {"kl_per_sequence", "KL per text, nats"}};
  for (const auto& [name, words] : kNames) {
    if (name == measure) return std::string(words);
  }
  return measure;
}

std::string ScoringName(const eval::Evaluation& e, const eval::Scoring& scoring) {
  const std::string text = scoring.text == eval::kSummaryScoring         ? "summary"
                           : scoring.text == eval::kQueryResponseScoring ? "query+response"
                                                                         : scoring.text;
  const bool first = !e.scorings.empty() && scoring.judge == e.scorings[0].judge;
  return first ? text : absl::StrCat(text, " (", scoring.judge, ")");
}

std::string MeasureName(const eval::Evaluation& e, const eval::Difference& d) {
  const std::string name = MeasureName(d.measure);
  return d.scoring.has_value() ? absl::StrCat(name, ", ", ScoringName(e, *d.scoring)) : name;
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
