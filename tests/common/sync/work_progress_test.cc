#include "common/sync/work_progress.h"

#include <gtest/gtest.h>

namespace mellow {
namespace {

const SteadyTime kStart{absl::Hours(5)};

TEST(WorkProgressTest, AnIdleThreadIsNeverStuck) {
  WorkProgress progress;
  EXPECT_EQ(progress.Stalled(kStart + absl::Hours(1)), absl::ZeroDuration());
  progress.Begin(kStart);
  progress.Idle();
  EXPECT_EQ(progress.Stalled(kStart + absl::Hours(1)), absl::ZeroDuration());
}

TEST(WorkProgressTest, StuckIsWhoTakesLongerThanThePastExplains) {
  WorkProgress progress;
  progress.Begin(kStart);
  EXPECT_EQ(progress.Stalled(kStart + WorkProgress::kPatience), absl::ZeroDuration());
  EXPECT_EQ(progress.Stalled(kStart + WorkProgress::kPatience + absl::Seconds(1)),
            WorkProgress::kPatience + absl::Seconds(1));
  progress.Advance(kStart + absl::Seconds(20));
  const SteadyTime next = kStart + absl::Seconds(20);
  EXPECT_EQ(progress.Stalled(next + absl::Seconds(160)), absl::ZeroDuration())
      << "a piece has taken 20 s before";
  EXPECT_EQ(progress.Stalled(next + absl::Seconds(161)), absl::Seconds(161));
  progress.Advance(next + absl::Seconds(1000));
  EXPECT_GT(progress.Stalled(next + absl::Seconds(1161)), absl::ZeroDuration())
      << "what was stuck is no past to go by";
}

TEST(WorkProgressTest, WorkThatWasThereBeforeTheThreadIsNoPast) {
  WorkProgress progress;
  progress.Advance(kStart);
  EXPECT_GT(progress.Stalled(kStart + absl::Seconds(31)), absl::ZeroDuration());
}

TEST(WorkProgressTest, WorkOfLongPiecesHasMorePatience) {
  WorkProgress progress(absl::Minutes(10));
  progress.Begin(kStart);
  EXPECT_EQ(progress.Stalled(kStart + absl::Minutes(10)), absl::ZeroDuration());
  EXPECT_EQ(progress.Stalled(kStart + absl::Minutes(11)), absl::Minutes(11));
}

TEST(WorkProgressTest, EveryPieceCountsAnew) {
  WorkProgress progress;
  progress.Begin(kStart);
  for (int i = 1; i <= 100; ++i) progress.Advance(kStart + absl::Seconds(i));
  EXPECT_EQ(progress.Stalled(kStart + absl::Seconds(130)), absl::ZeroDuration());
  EXPECT_GT(progress.Stalled(kStart + absl::Seconds(131)), absl::ZeroDuration());
}

}  // namespace
}  // namespace mellow
