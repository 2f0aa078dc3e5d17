#include "common/stats/mean.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mellow::stats {
namespace {

TEST(MeanAndSdTest, IsTheSampleStandardDeviation) {
  EXPECT_EQ(MeanAndSd({}).mean, 0);
  EXPECT_EQ(MeanAndSd({3.0}).sd, 0);
  const std::vector<double> numbers = {1, 2, 3, 6};
  EXPECT_DOUBLE_EQ(MeanAndSd(numbers).mean, 3);
  EXPECT_DOUBLE_EQ(MeanAndSd(numbers).sd, std::sqrt(14.0 / 3));
}

}  // namespace
}  // namespace mellow::stats
