#include "services/review/review_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::review {
namespace {

using ::testing::HasSubstr;

absl::Status Check(const std::string& address, bool allow_remote = false) {
  ReviewOptions options;
  options.process.node_id = "review";
  options.process.address = address;
  options.study = "study.sqlite";
  options.allow_remote = allow_remote;
  return options.Validate();
}

TEST(ReviewOptionsTest, OnlyLoopbackUnlessSaidPlainly) {
  for (const char* address :
       {"127.0.0.1:0", "127.1.2.3:80", "localhost:8090", "::1:80", "[::1]:80"})
    EXPECT_TRUE(Check(address).ok()) << address;
  for (const char* address : {"0.0.0.0:0", "192.168.0.1:80", "127.evil.example:80", ":::80",
                              "[::]:80", "example.org:80", ":80", "128.0.0.1:80"}) {
    const absl::Status status = Check(address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr(address));
    EXPECT_THAT(std::string(status.message()), HasSubstr("--allow-remote"));
    EXPECT_TRUE(Check(address, /*allow_remote=*/true).ok()) << address;
  }
}

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
