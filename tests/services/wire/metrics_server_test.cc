#include "services/wire/metrics_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "services/wire/tls_flags.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/test_certificates.h"

namespace mellow::wire {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(MetricsServerTest, AnswersMetricsAndNothingElse) {
  obs::Metrics metrics;
  metrics.AddCounter("mellow_x_total", "Help.").Increment(3);
  const auto server = StartMetricsServer({}, nullptr, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto call = [&](const std::string& method, const std::string& path) {
    return http::Call((*server)->address(), {.method = method, .path = path}, absl::Seconds(20));
  };
  const auto answer = call("GET", "/metrics");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(answer->headers.at("content-type"), StartsWith("text/plain; version=0.0.4"));
  EXPECT_THAT(answer->body, HasSubstr("mellow_x_total 3\n"));
  EXPECT_EQ(call("GET", "/")->status, 404);
  EXPECT_EQ(call("POST", "/metrics")->status, 405);
}

TEST(MetricsServerTest, ATakenPortIsRefusedByName) {
  obs::Metrics metrics;
  const auto first = StartMetricsServer({}, nullptr, &metrics);
  ASSERT_TRUE(first.ok());
  ProcessFlags flags;
  flags.metrics_address = (*first)->address();
  const auto second = StartMetricsServer(flags, nullptr, &metrics);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(flags.metrics_address));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--metrics-address"));
}

TEST(MetricsServerTest, WithTlsPlaintextGetsNoAnswerAndIsCounted) {
  const mellow::testing::TempFolder folder;
  const mellow::testing::TestAuthority authority;
  const mellow::testing::IssuedCertificate issued = authority.Issue("node", "a");
  ProcessFlags flags;
  flags.tls = {folder / "c", folder / "k", folder / "a"};
  ASSERT_TRUE(WriteFileAtomic(flags.tls.cert, issued.cert).ok());
  ASSERT_TRUE(WriteFileAtomic(flags.tls.key, issued.key).ok());
  ASSERT_TRUE(WriteFileAtomic(flags.tls.ca, authority.Pem()).ok());
  obs::Metrics metrics;
  const auto certificates = StartCertificates(flags.tls);
  ASSERT_TRUE(certificates.ok()) << certificates.status();
  const auto server = StartMetricsServer(flags, *certificates, &metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto answer =
      http::Call((*server)->address(), {.method = "GET", .path = "/metrics"}, absl::Seconds(20));
  EXPECT_TRUE(absl::IsUnavailable(answer.status()));
  EXPECT_THAT(metrics.Text(),
              HasSubstr("mellow_http_handshake_failures_total{port=\"metrics\"} 1"));
}

}  // namespace
}  // namespace mellow::wire
