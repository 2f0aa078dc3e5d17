#include "services/cli/probe/python_random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::cli {
namespace {

using ::testing::ElementsAre;

// Expected numbers are those of CPython 3.11.
TEST(PythonRandintsTest, DrawsWhatPythonDraws) {
  EXPECT_THAT(PythonRandints(0, 16, 100, 400), ElementsAre(297, 315, 120, 232, 361, 348, 307, 255,
                                                           344, 283, 398, 211, 358, 171, 244, 171));
  EXPECT_THAT(PythonRandints(12345, 10, 0, 9), ElementsAre(6, 0, 4, 5, 3, 4, 9, 6, 2, 5));
}

}  // namespace
}  // namespace mellow::cli
