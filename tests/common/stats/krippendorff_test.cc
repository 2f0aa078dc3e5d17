#include "common/stats/krippendorff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/testing/source_tree.h"

namespace mellow::stats {
namespace {

using Units = std::vector<std::vector<int>>;

// Sums of at most a few hundred doubles in another order than numpy's.
constexpr double kTolerance = 1e-12;

TEST(KrippendorffAlphaTest, EqualsThePythonPackage) {
  std::ifstream file(SourceTree("/tests/parity/golden/agreement.json"));
  const auto golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["alpha"].size(), 8U);
  for (const auto& row : golden["alpha"]) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto units = row["units"].get<Units>();
    const auto nominal = KrippendorffAlpha(units, AlphaLevel::kNominal);
    const auto ordinal = KrippendorffAlpha(units, AlphaLevel::kOrdinal);
    ASSERT_TRUE(nominal.ok() && ordinal.ok());
    EXPECT_NEAR(*nominal, row["nominal"].get<double>(), kTolerance);
    EXPECT_NEAR(*ordinal, row["ordinal"].get<double>(), kTolerance);
  }
}

// Krippendorff (2011), sections C and E, prints three digits.
TEST(KrippendorffAlphaTest, EqualsTheFiguresOfThePaper) {
  const Units units = {{1, 1, 1},    {2, 2, 3, 2}, {3, 3, 3, 3}, {3, 3, 3, 3},
                       {2, 2, 2, 2}, {1, 2, 3, 4}, {4, 4, 4, 4}, {1, 1, 2, 1},
                       {2, 2, 2, 2}, {5, 5, 5},    {1, 1},       {3}};
  EXPECT_NEAR(KrippendorffAlpha(units, AlphaLevel::kNominal).value(), 0.743, 5e-4);
  EXPECT_NEAR(KrippendorffAlpha(units, AlphaLevel::kOrdinal).value(), 0.815, 5e-4);
}

TEST(KrippendorffAlphaTest, SaysWhyItIsNotDefined) {
  using ::testing::HasSubstr;
  const auto nobody = KrippendorffAlpha(Units{{1}, {}, {2}}, AlphaLevel::kOrdinal);
  EXPECT_EQ(nobody.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(nobody.status().message()), HasSubstr("two people"));
  const auto same = KrippendorffAlpha(Units{{4, 4}, {4, 4}, {5}}, AlphaLevel::kNominal);
  EXPECT_EQ(same.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(same.status().message()), HasSubstr("the same"));
}

}  // namespace
}  // namespace mellow::stats
