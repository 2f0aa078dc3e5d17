// The bootstrap, the permutation test and the sample sizes against scipy and statsmodels
// (tests/parity/make_statistics_golden.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/stats/bootstrap.h"
#include "common/stats/permutation_test.h"
#include "common/stats/sample_size.h"
#include "tests/testing/source_tree.h"

namespace mellow::stats {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Json Golden(const char* part) {
  std::ifstream file(SourceTree("/tests/parity/golden/statistics.json"));
  return Json::parse(file)[part];
}

// A bound is a 2.5 % quantile estimated from 10,000 resampled means: its standard error is
// sqrt(q (1 - q) / 10000) / density = 0.027 standard errors of the mean. Four of those.
TEST(BootstrapMeansTest, BoundsAreThoseOfScipyUpToTheDraws) {
  const Json series = Golden("series");
  ASSERT_GE(series.size(), 8U);
  for (const Json& row : series) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto values = row["values"].get<std::vector<double>>();
    const auto means = BootstrapMeans({values}, {.seed = 3});
    ASSERT_TRUE(means.ok()) << means.status();
    const double error = row["sd"].get<double>() / std::sqrt(static_cast<double>(values.size()));
    EXPECT_NEAR((*means)[0].mean, row["mean"].get<double>(), 1e-12);
    EXPECT_NEAR((*means)[0].lower, row["lower"].get<double>(), 0.11 * error);
    EXPECT_NEAR((*means)[0].upper, row["upper"].get<double>(), 0.11 * error);
  }
}

TEST(BootstrapMeansTest, SeriesHasTheSameBoundsAloneAndBesideOthers) {
  const std::vector<double> a = {1, 5, 2, 8, 3};
  const std::vector<double> b = {0, 0, 1, 0, 0};
  const auto together = BootstrapMeans({b, a}, {.seed = 9});
  const auto alone = BootstrapMeans({a}, {.seed = 9});
  ASSERT_TRUE(together.ok() && alone.ok());
  EXPECT_EQ((*together)[1].lower, (*alone)[0].lower);
  EXPECT_EQ((*together)[1].upper, (*alone)[0].upper);
  const auto uneven = BootstrapMeans({a, {1}}, {});
  EXPECT_THAT(std::string(uneven.status().message()), HasSubstr("5 values beside 1"));
}

// Where scipy drew 200,000 permutations and we 10,000: four standard errors of the larger, plus
// the one that the observed permutation adds.
TEST(PairedPermutationTest, EqualsScipyExactlyOrUpToTheDraws) {
  int exact = 0;
  for (const Json& row : Golden("series")) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto values = row["values"].get<std::vector<double>>();
    const auto p = PairedPermutationTest(values, {.permutations = 10000, .seed = 5});
    ASSERT_TRUE(p.ok()) << p.status();
    const double wanted = row["p"].get<double>();
    exact += row["exact"].get<bool>();
    const double error = 4 * std::sqrt(wanted * (1 - wanted) / 10000) + 1e-4;
    EXPECT_NEAR(*p, wanted, row["exact"].get<bool>() ? 1e-12 : error);
  }
  EXPECT_GE(exact, 3);
}

TEST(PairedPermutationTest, CountsTheObservedOneAmongThoseDrawn) {
  const std::vector<double> all_down(200, -0.1);
  EXPECT_EQ(*PairedPermutationTest(all_down, {.permutations = 999}), 1.0 / 1000);
  EXPECT_EQ(*PairedPermutationTest(std::vector<double>(200, 0.0), {}), 1);
  EXPECT_EQ(*PairedPermutationTest({1, 1, 1}, {}), 0.25);  // 2 of 8, exact
  const std::vector<double> mixed = {0.1, -0.3, 0.2, 0.5, -0.1, 0.4, 0.1, 0.1, 0.3, -0.2,
                                     0.1, 0.2,  0.3, 0.1, -0.4, 0.2, 0.1, 0.2, 0.1, 0.1};
  EXPECT_EQ(*PairedPermutationTest(mixed, {.seed = 1}), *PairedPermutationTest(mixed, {.seed = 1}));
  EXPECT_NE(*PairedPermutationTest(mixed, {.seed = 1}), *PairedPermutationTest(mixed, {.seed = 2}));
}

TEST(PairedPermutationTest, RefusesWhatCannotBeTested) {
  EXPECT_TRUE(absl::IsInvalidArgument(PairedPermutationTest({}, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(PairedPermutationTest({NAN}, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(PairedPermutationTest({1}, {.permutations = 0}).status()));
}

// statsmodels also counts the far tail and solves by iteration: 1e-4 relative. Both tails matter
// less than that at these powers.
TEST(SampleSizeTest, EqualsStatsmodels) {
  const Json sizes = Golden("sample_size");
  ASSERT_GE(sizes.size(), 20U);
  for (const Json& row : sizes) {
    const double effect = row["effect"];
    const TestPower test = {row["alpha"], row["power"]};
    const double paired = row["paired"];
    const double unpaired = row["unpaired"];
    EXPECT_NEAR(PairedSampleSize(3.0, 3.0 * effect, test).value(), paired, 1e-4 * paired);
    EXPECT_NEAR(UnpairedSampleSize(3.0, 3.0, -3.0 * effect, test).value(), unpaired,
                1e-4 * unpaired);
  }
}

TEST(SampleSizeTest, IsAbsentWhereNoNumberIsEnough) {
  EXPECT_FALSE(PairedSampleSize(1, 0, {}).has_value());
  EXPECT_FALSE(PairedSampleSize(NAN, 1, {}).has_value());
  EXPECT_FALSE(UnpairedSampleSize(1, INFINITY, 1, {}).has_value());
  EXPECT_FALSE(PairedSampleSize(1, 1, {.alpha = 0}).has_value());
  EXPECT_FALSE(PairedSampleSize(1, 1, {.power = 1}).has_value());
}

}  // namespace
}  // namespace mellow::stats
