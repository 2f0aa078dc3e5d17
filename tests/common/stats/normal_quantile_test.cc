#include "common/stats/normal_quantile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/testing/source_tree.h"

namespace mellow::stats {
namespace {

TEST(NormalQuantileTest, EqualsScipy) {
  std::ifstream file(SourceTree("/tests/parity/golden/agreement.json"));
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["quantile"].size(), 15U);
  for (const auto& row : golden["quantile"]) {
    const double z = row["z"];
    // Relative, but near 0, where z is as good as p.
    EXPECT_NEAR(NormalQuantile(row["p"]), z, 1e-14 * std::max(1.0, std::abs(z))) << row.dump();
  }
}

TEST(NormalQuantileTest, OutsideOfItsDomainIsNotANumber) {
  for (const double p : {0.0, 1.0, -0.5, 2.0, std::nan("")})
    EXPECT_TRUE(std::isnan(NormalQuantile(p))) << p;
}

}  // namespace
}  // namespace mellow::stats
