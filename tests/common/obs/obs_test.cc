#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/obs/log.h"
#include "common/obs/metrics.h"

namespace mellow::obs {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LogTest, ALineIsOneJsonObject) {
  ASSERT_TRUE(InitLog("policy-0", "info").ok());
  ::testing::internal::CaptureStderr();
  Log(Severity::kInfo, "a \"quoted\"\nmessage",
      {{"version", 3}, {"ok", true}, {"speed", 1.5}, {"bytes", "\xff"}});
  Log(Severity::kDebug, "not shown");
  const std::string out = ::testing::internal::GetCapturedStderr();
  ASSERT_EQ(std::count(out.begin(), out.end(), '\n'), 1) << out;
  const auto line = nlohmann::json::parse(out, nullptr, false);
  ASSERT_TRUE(line.is_object()) << out;
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["service"], "policy-0");
  EXPECT_EQ(line["message"], "a \"quoted\"\nmessage");
  EXPECT_EQ(line["version"], 3);
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(line["speed"], 1.5);
}

TEST(LogTest, AnUnknownLevelIsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(InitLog("x", "loud")));
}

TEST(MetricsTest, TheSameNameAndLabelsAreTheSameMetric) {
  Metrics metrics;
  metrics.AddCounter("mellow_x_total", "Help.", {{"a", "1"}}).Increment();
  metrics.AddCounter("mellow_x_total", "Help.", {{"a", "1"}}).Increment(2);
  EXPECT_THAT(metrics.Text(), HasSubstr("mellow_x_total{a=\"1\"} 3"));
}

TEST(MetricsTest, InfoShowsOnlyTheNewestLabels) {
  Metrics metrics;
  metrics.SetInfo("mellow_x_info", "Help.", {{"version", "1"}});
  metrics.SetInfo("mellow_x_info", "Help.", {{"version", "2"}});
  EXPECT_THAT(metrics.Text(), HasSubstr("mellow_x_info{version=\"2\"} 1"));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("version=\"1\"")));
}

}  // namespace
}  // namespace mellow::obs
