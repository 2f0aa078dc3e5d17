#include "common/base/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace mellow {
namespace {

absl::StatusOr<std::unique_ptr<int>> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return std::make_unique<int>(value / 2);
}

absl::StatusOr<int> Quarter(int value) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(value));
  MELLOW_ASSIGN_OR_RETURN(auto quarter, Half(*half));
  return *quarter;
}

absl::Status CheckQuarter(int value, bool* reached) {
  MELLOW_RETURN_IF_ERROR(Quarter(value).status());
  *reached = true;
  return absl::OkStatus();
}

TEST(StatusMacrosTest, AssignMovesTheValueOrReturnsTheError) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
}

TEST(StatusMacrosTest, ReturnIfErrorStopsAtTheError) {
  bool reached = false;
  EXPECT_FALSE(CheckQuarter(6, &reached).ok());
  EXPECT_FALSE(reached);
  EXPECT_TRUE(CheckQuarter(8, &reached).ok());
  EXPECT_TRUE(reached);
}

TEST(AnnotateTest, SaysWhereAndKeepsTheCode) {
  EXPECT_EQ(Annotate(absl::DataLossError("bad"), "file"), absl::DataLossError("file: bad"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "file").ok());
}

}  // namespace
}  // namespace mellow
