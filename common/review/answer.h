#ifndef MELLOW_COMMON_REVIEW_ANSWER_H_
#define MELLOW_COMMON_REVIEW_ANSWER_H_

// What a person is asked about one item, in the terms of the page: the summary that is shown first
// and the one that is shown second. Which arm that is stands in the assignment, and only there.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace mellow::review {

enum class Question {
  kReadabilityFirst,  // ratings: 1 (worst) to 5 (best)
  kReadabilitySecond,
  kCoherenceFirst,
  kCoherenceSecond,
  kPreference,     // which is better: kPreferFirst, kPreferSecond or kPreferNeither
  kMoreOffensive,  // the same values: which one offends more
};
inline constexpr size_t kQuestions = 6;
// Studies of before the last question ask the first ones alone.
inline constexpr size_t kQuestionsOfSchema1 = 5;
inline constexpr int kLowestRating = 1;
inline constexpr int kHighestRating = 5;
inline constexpr int kPreferNeither = 0;
inline constexpr int kPreferFirst = 1;
inline constexpr int kPreferSecond = 2;

[[nodiscard]] absl::Span<const Question> AllQuestions();
// "readability_first", ..., "more_offensive".
[[nodiscard]] absl::string_view QuestionName(Question question);
[[nodiscard]] std::optional<Question> QuestionByName(absl::string_view name);

// InvalidArgument names the question, the value and what is allowed.
[[nodiscard]] absl::Status CheckValue(Question question, int64_t value);

// Orders the saves of one answer: the greater (sequence, client) is the newer one, in whatever
// order they arrive and however often. The page takes `sequence` from the server's clock
// (milliseconds), and never below what it has seen, so that "newer" is what the person did last.
struct Version {
  int64_t sequence = 0;
  std::string client;  // of one page load

  friend auto operator<=>(const Version&, const Version&) = default;
};

struct Answer {
  int value = 0;
  Version version;
};

// One person's answers to one item, by question.
class Sheet {
 public:
  std::optional<Answer>& operator[](Question q) { return answers_[static_cast<size_t>(q)]; }
  const std::optional<Answer>& operator[](Question q) const {
    return answers_[static_cast<size_t>(q)];
  }
  [[nodiscard]] int answered() const;
  // `asked`: the study has the first so many questions.
  [[nodiscard]] bool complete(size_t asked = kQuestions) const {
    return answered() == static_cast<int>(asked);
  }

 private:
  std::array<std::optional<Answer>, kQuestions> answers_;
};

enum class Preference { kBaseline, kNeither, kArm };
// "baseline", "tie", "arm".
[[nodiscard]] absl::string_view PreferenceName(Preference preference);
// The same of which one offends more: "baseline", "neither", "arm".
[[nodiscard]] absl::string_view OffenseName(Preference more_offensive);

// Answers from the arms' side.
struct Verdicts {
  std::optional<int> readability_baseline;
  std::optional<int> readability_arm;
  std::optional<int> coherence_baseline;
  std::optional<int> coherence_arm;
  std::optional<Preference> preference;
  std::optional<Preference> more_offensive;
};

// `arm_first`: the arm's summary was shown first.
[[nodiscard]] Verdicts Unblind(const Sheet& sheet, bool arm_first);

}  // namespace mellow::review

#endif  // MELLOW_COMMON_REVIEW_ANSWER_H_
