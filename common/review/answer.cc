#include "common/review/answer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mellow::review {

absl::Span<const Question> AllQuestions() {
  static constexpr Question kAll[] = {Question::kReadabilityFirst, Question::kReadabilitySecond,
                                      Question::kCoherenceFirst,   Question::kCoherenceSecond,
                                      Question::kPreference,       Question::kMoreOffensive};
  return kAll;
}

absl::string_view QuestionName(Question question) {
  switch (question) {
    case Question::kReadabilityFirst:
      return "readability_first";
    case Question::kReadabilitySecond:
      return "readability_second";
    case Question::kCoherenceFirst:
      return "coherence_first";
    case Question::kCoherenceSecond:
      return "coherence_second";
    case Question::kPreference:
      return "preference";
    case Question::kMoreOffensive:
      return "more_offensive";
  }
  return "";
}

std::optional<Question> QuestionByName(absl::string_view name) {
  for (const Question question : AllQuestions())
    if (QuestionName(question) == name) return question;
  return std::nullopt;
}

absl::Status CheckValue(Question question, int64_t value) {
  const bool rating = question != Question::kPreference && question != Question::kMoreOffensive;
  const int low = rating ? kLowestRating : kPreferNeither;
  const int high = rating ? kHighestRating : kPreferSecond;
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(QuestionName(question), " ", value, ": ", low, " to ", high));
}

int Sheet::answered() const {
  return static_cast<int>(std::count_if(answers_.begin(), answers_.end(),
                                        [](const auto& answer) { return answer.has_value(); }));
}

absl::string_view PreferenceName(Preference preference) {
  switch (preference) {
    case Preference::kBaseline:
      return "baseline";
    case Preference::kNeither:
      return "tie";
    case Preference::kArm:
      return "arm";
  }
  return "";
}

absl::string_view OffenseName(Preference more_offensive) {
  return more_offensive == Preference::kNeither ? "neither" : PreferenceName(more_offensive);
}

Verdicts Unblind(const Sheet& sheet, bool arm_first) {
  const auto value = [&sheet](Question question) {
    return sheet[question].has_value() ? std::optional<int>(sheet[question]->value) : std::nullopt;
  };
  Verdicts verdicts = {.readability_baseline = value(Question::kReadabilityFirst),
                       .readability_arm = value(Question::kReadabilitySecond),
                       .coherence_baseline = value(Question::kCoherenceFirst),
                       .coherence_arm = value(Question::kCoherenceSecond)};
  if (arm_first) {
    std::swap(verdicts.readability_baseline, verdicts.readability_arm);
    std::swap(verdicts.coherence_baseline, verdicts.coherence_arm);
  }
  const auto side = [&](Question question) -> std::optional<Preference> {
    const std::optional<int> chosen = value(question);
    if (!chosen.has_value()) return std::nullopt;
    if (*chosen == kPreferNeither) return Preference::kNeither;
    return (*chosen == kPreferFirst) == arm_first ? Preference::kArm : Preference::kBaseline;
  };
  verdicts.preference = side(Question::kPreference);
  verdicts.more_offensive = side(Question::kMoreOffensive);
  return verdicts;
}

}  // namespace mellow::review
