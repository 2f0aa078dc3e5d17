#include "common/stats/wilson.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/testing/source_tree.h"

namespace mellow::stats {
namespace {

TEST(WilsonIntervalTest, EqualsStatsmodels) {
  std::ifstream file(SourceTree("/tests/parity/golden/agreement.json"));
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["wilson"].size(), 50U);
  for (const auto& row : golden["wilson"]) {
    SCOPED_TRACE(row.dump());
    const auto got = WilsonInterval(row["successes"], row["trials"], row["confidence"]);
    ASSERT_TRUE(got.ok()) << got.status();
    // A dozen operations and a quantile that is good to 1e-15.
    EXPECT_NEAR(got->lower, row["lower"].get<double>(), 1e-13);
    EXPECT_NEAR(got->upper, row["upper"].get<double>(), 1e-13);
    EXPECT_LE(0, got->lower);
    EXPECT_LE(got->lower, got->rate);
    EXPECT_LE(got->rate, got->upper);
    EXPECT_LE(got->upper, 1);
  }
}

TEST(WilsonIntervalTest, RefusesWhatIsNoProportion) {
  for (const auto& [successes, trials, confidence] :
       {std::tuple(0, 0, 0.95), {-1, 5, 0.95}, {6, 5, 0.95}, {1, 5, 0.0}, {1, 5, 1.0}}) {
    EXPECT_EQ(WilsonInterval(successes, trials, confidence).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace mellow::stats
