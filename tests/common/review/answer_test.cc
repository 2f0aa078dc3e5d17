#include "common/review/answer.h"

#include <gtest/gtest.h>

namespace mellow::review {
namespace {

Sheet MakeSheet(int readability_first, int readability_second, int coherence_first,
                int coherence_second, int preference) {
  Sheet sheet;
  int i = 0;
  for (const int value :
       {readability_first, readability_second, coherence_first, coherence_second, preference})
    sheet[AllQuestions()[i++]] = Answer{.value = value};
  return sheet;
}

TEST(AnswerTest, NamesReadBack) {
  for (const Question question : AllQuestions())
    EXPECT_EQ(QuestionByName(QuestionName(question)), question);
  EXPECT_FALSE(QuestionByName("readability").has_value());
  EXPECT_FALSE(QuestionByName("").has_value());
}

TEST(AnswerTest, ValuesOutOfRangeAreRefusedWithTheirName) {
  EXPECT_TRUE(CheckValue(Question::kCoherenceSecond, 1).ok());
  EXPECT_TRUE(CheckValue(Question::kCoherenceSecond, 5).ok());
  EXPECT_TRUE(CheckValue(Question::kPreference, 0).ok());
  EXPECT_TRUE(CheckValue(Question::kPreference, 2).ok());
  EXPECT_EQ(CheckValue(Question::kCoherenceSecond, 0).message(), "coherence_second 0: 1 to 5");
  EXPECT_EQ(CheckValue(Question::kReadabilityFirst, 6).message(), "readability_first 6: 1 to 5");
  EXPECT_EQ(CheckValue(Question::kPreference, 3).message(), "preference 3: 0 to 2");
  EXPECT_EQ(CheckValue(Question::kMoreOffensive, 5).message(), "more_offensive 5: 0 to 2");
  EXPECT_EQ(CheckValue(Question::kPreference, -1).code(), absl::StatusCode::kInvalidArgument);
}

TEST(AnswerTest, UnblindingPutsEveryAnswerOnItsArm) {
  const Verdicts second = Unblind(MakeSheet(1, 2, 3, 4, kPreferFirst), /*arm_first=*/false);
  EXPECT_EQ(second.readability_baseline, 1);
  EXPECT_EQ(second.readability_arm, 2);
  EXPECT_EQ(second.coherence_baseline, 3);
  EXPECT_EQ(second.coherence_arm, 4);
  EXPECT_EQ(second.preference, Preference::kBaseline);
  const Verdicts first = Unblind(MakeSheet(1, 2, 3, 4, kPreferFirst), /*arm_first=*/true);
  EXPECT_EQ(first.readability_baseline, 2);
  EXPECT_EQ(first.readability_arm, 1);
  EXPECT_EQ(first.coherence_baseline, 4);
  EXPECT_EQ(first.coherence_arm, 3);
  EXPECT_EQ(first.preference, Preference::kArm);
  EXPECT_EQ(Unblind(MakeSheet(1, 2, 3, 4, kPreferSecond), true).preference, Preference::kBaseline);
  EXPECT_EQ(Unblind(MakeSheet(1, 2, 3, 4, kPreferSecond), false).preference, Preference::kArm);
  for (const bool arm_first : {false, true})
    EXPECT_EQ(Unblind(MakeSheet(1, 2, 3, 4, kPreferNeither), arm_first).preference,
              Preference::kNeither);
  Sheet offended = MakeSheet(1, 2, 3, 4, kPreferFirst);
  offended[Question::kMoreOffensive] = Answer{.value = kPreferSecond};
  EXPECT_EQ(Unblind(offended, /*arm_first=*/true).more_offensive, Preference::kBaseline);
  EXPECT_EQ(Unblind(offended, /*arm_first=*/false).more_offensive, Preference::kArm);
  EXPECT_EQ(Unblind(offended, /*arm_first=*/false).preference, Preference::kBaseline);
  EXPECT_FALSE(second.more_offensive.has_value());
  EXPECT_EQ(OffenseName(Preference::kNeither), "neither");
  EXPECT_EQ(OffenseName(Preference::kArm), "arm");
}

TEST(AnswerTest, WhatIsMissingStaysMissing) {
  Sheet sheet;
  EXPECT_EQ(sheet.answered(), 0);
  sheet[Question::kReadabilityFirst] = Answer{.value = 5};
  EXPECT_EQ(sheet.answered(), 1);
  EXPECT_FALSE(sheet.complete());
  const Verdicts verdicts = Unblind(sheet, /*arm_first=*/true);
  EXPECT_EQ(verdicts.readability_arm, 5);
  EXPECT_FALSE(verdicts.readability_baseline.has_value());
  EXPECT_FALSE(verdicts.preference.has_value());
  Sheet five = MakeSheet(1, 2, 3, 4, 0);
  EXPECT_FALSE(five.complete());
  EXPECT_TRUE(five.complete(kQuestionsOfSchema1));
  five[Question::kMoreOffensive] = Answer{.value = kPreferNeither};
  EXPECT_TRUE(five.complete());
}

TEST(AnswerTest, TheLaterSequenceIsNewerAndThenTheGreaterClient) {
  EXPECT_GT((Version{.sequence = 2, .client = "a"}), (Version{.sequence = 1, .client = "z"}));
  EXPECT_GT((Version{.sequence = 2, .client = "b"}), (Version{.sequence = 2, .client = "a"}));
}

}  // namespace
}  // namespace mellow::review
