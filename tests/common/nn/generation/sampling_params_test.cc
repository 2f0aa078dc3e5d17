#include "common/nn/generation/sampling_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace mellow::nn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void ExpectRefused(const SamplingParams& params, const std::string& field,
                   const std::string& value) {
  const absl::Status status = params.Validate();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(field), HasSubstr(value)));
}

TEST(SamplingParamsTest, DefaultsAreValid) { EXPECT_TRUE(SamplingParams().Validate().ok()); }

TEST(SamplingParamsTest, EdgesOfEveryRangeAreValid) {
  EXPECT_TRUE(SamplingParams({.do_sample = true, .temperature = kMinTemperature}).Validate().ok());
  EXPECT_TRUE(SamplingParams({.do_sample = true, .top_k = 1, .top_p = 1e-9}).Validate().ok());
  EXPECT_TRUE(SamplingParams({.num_beams = 64}).Validate().ok());
  EXPECT_TRUE(
      SamplingParams({.num_beams = 2, .length_penalty = -kMaxLengthPenalty}).Validate().ok());
  EXPECT_TRUE(SamplingParams({.max_new_tokens = 1, .min_new_tokens = 1}).Validate().ok());
}

TEST(SamplingParamsTest, BadTemperatureIsNamed) {
  ExpectRefused({.temperature = 0}, "temperature", "0");
  ExpectRefused({.temperature = -1.5}, "temperature", "-1.5");
  ExpectRefused({.temperature = kNan}, "temperature", "nan");
  ExpectRefused({.temperature = kInfinity}, "temperature", "inf");
  // Numbers, but one divided by them is none in fp32, or the logits lose their order.
  for (const double temperature : {1e-300, 5e-324, 1e-39, 9e-7, 1.1e6, 1e300})
    EXPECT_FALSE(SamplingParams({.temperature = temperature}).Validate().ok()) << temperature;
  for (const double penalty : {-1e300, 33.0, 1e300})
    EXPECT_FALSE(SamplingParams({.num_beams = 2, .length_penalty = penalty}).Validate().ok());
}

TEST(SamplingParamsTest, BadTopKIsNamed) { ExpectRefused({.top_k = -1}, "top_k", "-1"); }

TEST(SamplingParamsTest, BadTopPIsNamed) {
  ExpectRefused({.top_p = 0}, "top_p", "0");
  ExpectRefused({.top_p = -0.25}, "top_p", "-0.25");
  ExpectRefused({.top_p = 1.25}, "top_p", "1.25");
  ExpectRefused({.top_p = kNan}, "top_p", "nan");
}

TEST(SamplingParamsTest, BadNumBeamsIsNamed) {
  ExpectRefused({.num_beams = 0}, "num_beams", "0");
  ExpectRefused({.num_beams = -3}, "num_beams", "-3");
  ExpectRefused({.num_beams = 65}, "num_beams", "65");
}

TEST(SamplingParamsTest, BeamsDoNotSample) {
  ExpectRefused({.do_sample = true, .num_beams = 2}, "num_beams", "do_sample");
}

TEST(SamplingParamsTest, BadLengthPenaltyIsNamed) {
  ExpectRefused({.num_beams = 2, .length_penalty = kNan}, "length_penalty", "nan");
  ExpectRefused({.num_beams = 2, .length_penalty = -kInfinity}, "length_penalty", "-inf");
}

TEST(SamplingParamsTest, BadTokenCountsAreNamed) {
  ExpectRefused({.max_new_tokens = 0}, "max_new_tokens", "0");
  ExpectRefused({.max_new_tokens = -7}, "max_new_tokens", "-7");
  ExpectRefused({.min_new_tokens = -1}, "min_new_tokens", "-1");
  ExpectRefused({.max_new_tokens = 5, .min_new_tokens = 6}, "min_new_tokens 6", "5");
}

}  // namespace
}  // namespace mellow::nn
