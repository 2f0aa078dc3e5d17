#include "common/report/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mellow::report {
namespace {

TEST(NumbersTest, KeepAboutFourDigits) {
  EXPECT_EQ(Number(0.03554), "0.0355");
  EXPECT_EQ(Number(1.5), "1.500");
  EXPECT_EQ(Number(-12.345), "-12.35");
  EXPECT_EQ(Number(123.45), "123.5");
  EXPECT_EQ(Number(12345.6), "12346");
  EXPECT_EQ(Number(0), "0.0000");
  EXPECT_EQ(Number(-0.0), "0.0000");
}

TEST(NumbersTest, DoNotShowSomethingAsNothing) {
  EXPECT_EQ(Number(1.23e-7), "1.2e-07");
  EXPECT_EQ(Fixed(-0.00001, 4), "-1.0e-05");
  EXPECT_EQ(Number(2e18), "2.0e+18");
}

TEST(NumbersTest, WhatIsNotFiniteIsNotAvailable) {
  EXPECT_EQ(Number(std::nan("")), "n/a");
  EXPECT_EQ(Signed(std::numeric_limits<double>::quiet_NaN(), 2), "n/a");
  EXPECT_EQ(Percent(-std::numeric_limits<double>::infinity()), "n/a");
  EXPECT_EQ(SignedPercent(std::numeric_limits<double>::infinity()), "n/a");
}

TEST(NumbersTest, DifferencesHaveSigns) {
  EXPECT_EQ(Signed(0.25, 3), "+0.250");
  EXPECT_EQ(Signed(-0.25, 3), "-0.250");
  EXPECT_EQ(Signed(0, 3), "0.000");
  EXPECT_EQ(SignedInterval({.mean = 0, .lower = -0.5, .upper = 0.25}, 2), "[-0.50, +0.25]");
  EXPECT_EQ(SignedInterval({.mean = 0, .lower = -1e-9, .upper = 1e-9}, 2), "[-0.00, +0.00]");
  EXPECT_EQ(SignedPercent(-0.92), "-92.0 %");
  EXPECT_EQ(SignedPercent(0.125), "+12.5 %");
}

TEST(NumbersTest, CountsAreGrouped) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(3538944), "3,538,944");
  EXPECT_EQ(Count(-100000), "-100,000");
  EXPECT_EQ(Count(-100), "-100");
  EXPECT_EQ(Count(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
}

}  // namespace
}  // namespace mellow::report
