#include "services/review/review_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::review {
namespace {

using ::testing::HasSubstr;

TEST(ReviewOptionsTest, NamesTheFlag) {
  ReviewOptions options;
  options.process.node_id = "review";
  EXPECT_THAT(std::string(options.Validate().message()), HasSubstr("--study"));
  options.study = "x";
  options.requests_per_second = 0;
  EXPECT_THAT(std::string(options.Validate().message()), HasSubstr("--requests-per-second 0"));
  options.process.drain_seconds = -1;
  EXPECT_THAT(std::string(options.Validate().message()), HasSubstr("--drain-seconds -1"));
}

}  // namespace
}  // namespace mellow::review
