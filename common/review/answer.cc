#include "common/review/answer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mellow::review {

absl::Span<const Question> AllQuestions() {
  static constexpr Question kAll[] = {Question::kReadabilityFirst, Question::kReadabilitySecond,
                                      Question::kCoherenceFirst, Question::kCoherenceSecond,
                                      Question::kPreference};
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
  }
  return "";
}

std::optional<Question> QuestionByName(absl::string_view name) {
  for (const Question question : AllQuestions())
    if (QuestionName(question) == name) return question;
  return std::nullopt;
}

absl::Status CheckValue(Question question, int64_t value) {
  const bool rating = question != Question::kPreference;
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
  if (const auto preferred = value(Question::kPreference); preferred.has_value()) {
    const bool arm = (*preferred == kPreferFirst) == arm_first;
    verdicts.preference = *preferred == kPreferNeither ? Preference::kNeither
                          : arm                        ? Preference::kArm
                                                       : Preference::kBaseline;
  }
  return verdicts;
}

}  // namespace mellow::review
