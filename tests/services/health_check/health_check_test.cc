#include "services/health_check/health_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/http/http.h"
#include "common/obs/metrics.h"
#include "common/rpc/server.h"

namespace mellow::health_check {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(5);

TEST(HealthCheckTest, FollowsWhatAGrpcServerSaysOfItself) {
  obs::Metrics metrics;
  auto server = rpc::Server::Start({}, {}, {}, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = (*server)->address();
  EXPECT_EQ(Check(address, kTimeout).code(), absl::StatusCode::kUnavailable);
  (*server)->SetServing(true);
  EXPECT_TRUE(Check(address, kTimeout).ok());
  (*server)->Shutdown(absl::ZeroDuration());
  EXPECT_EQ(Check(address, kTimeout).code(), absl::StatusCode::kUnavailable);
}

TEST(HealthCheckTest, AnHttpServerHasToAnswer200AtThatPath) {
  auto server = http::Server::Start({}, [](const http::Request& request) {
    return http::Response{.status = request.path == "/healthz" ? 200 : 503};
  });
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string url = absl::StrCat("http://", (*server)->address());
  EXPECT_TRUE(Check(url + "/healthz", kTimeout).ok());
  const absl::Status other = Check(url, kTimeout);
  EXPECT_EQ(other.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(other.message()), HasSubstr("503"));
}

TEST(HealthCheckTest, WhatIsNoAddressIsRefused) {
  for (const char* target :
       {"", "policy", "ftp://127.0.0.1:1/", "127.0.0.1:1/x", "https://127.0.0.1:1/"})
    EXPECT_EQ(Check(target, kTimeout).code(), absl::StatusCode::kInvalidArgument) << target;
}

}  // namespace
}  // namespace mellow::health_check
