#include "common/sft/linear_schedule.h"

#include "gtest/gtest.h"

namespace mellow::sft {
namespace {

// Numbers of transformers' get_linear_schedule_with_warmup; sft_parity_test compares whole runs.
TEST(LinearScheduleTest, RisesInTheWarmUpAndFallsToZero) {
  EXPECT_DOUBLE_EQ(LinearSchedule(1e-3, 4, 10, 0), 0);
  EXPECT_DOUBLE_EQ(LinearSchedule(1e-3, 4, 10, 1), 2.5e-4);
  EXPECT_DOUBLE_EQ(LinearSchedule(1e-3, 4, 10, 4), 1e-3);
  EXPECT_DOUBLE_EQ(LinearSchedule(1e-3, 4, 10, 7), 5e-4);
  EXPECT_DOUBLE_EQ(LinearSchedule(1e-3, 4, 10, 10), 0);
  EXPECT_DOUBLE_EQ(LinearSchedule(1e-3, 4, 10, 12), 0);
}

TEST(LinearScheduleTest, WithoutWarmUpBeginsAtThePeak) {
  EXPECT_DOUBLE_EQ(LinearSchedule(0.5, 0, 4, 0), 0.5);
  EXPECT_DOUBLE_EQ(LinearSchedule(0.5, 0, 4, 3), 0.125);
}

TEST(LinearScheduleTest, AWarmUpOfTheWholeRunNeverFalls) {
  EXPECT_DOUBLE_EQ(LinearSchedule(1, 4, 4, 3), 0.75);
  EXPECT_DOUBLE_EQ(LinearSchedule(1, 4, 4, 4), 0);
}

}  // namespace
}  // namespace mellow::sft
