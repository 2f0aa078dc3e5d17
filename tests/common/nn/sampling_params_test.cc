#include "common/nn/sampling_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace mellow::nn {
namespace sampling_params_test {

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
  for (const double temperature : {5e-324, 1e-300, 1e-7, kMaxTemperature})
    EXPECT_TRUE(SamplingParams({.do_sample = true, .temperature = temperature}).Validate().ok());
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
  // Beyond the largest, logits lose their order.
  for (const double temperature : {1.1e6, 1e300})
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

TEST(SamplingParamsTest, BeamsAreSampledAtTemperaturesThatKeepTheirScoresNumbers) {
  EXPECT_TRUE(
      SamplingParams({.do_sample = true, .temperature = 1e-6, .num_beams = 2}).Validate().ok());
  EXPECT_TRUE(SamplingParams({.temperature = 1e-7, .num_beams = 2}).Validate().ok()) << "not used";
  ExpectRefused({.do_sample = true, .temperature = 1e-7, .num_beams = 2}, "temperature",
                "num_beams");
}

TEST(SamplingParamsTest, BadCutsAreNamed) {
  const auto with = [](LogitsRules rules) {
    SamplingParams params{.do_sample = true};
    params.SetRules(rules);
    return params;
  };
  EXPECT_TRUE(with({.min_p = 1, .typical_p = 1e-9, .epsilon_cutoff = 0.999, .eta_cutoff = 1e-9})
                  .Validate()
                  .ok());
  ExpectRefused(with({.min_p = 1.5}), "min_p", "1.5");
  ExpectRefused(with({.min_p = kNan}), "min_p", "nan");
  ExpectRefused(with({.typical_p = 0}), "typical_p", "0");
  ExpectRefused(with({.typical_p = 1.25}), "typical_p", "1.25");
  ExpectRefused(with({.epsilon_cutoff = 1}), "epsilon_cutoff", "1");
  ExpectRefused(with({.eta_cutoff = -0.5}), "eta_cutoff", "-0.5");
}

TEST(SamplingParamsTest, BadLengthPenaltyIsNamed) {
  ExpectRefused({.num_beams = 2, .length_penalty = kNan}, "length_penalty", "nan");
  ExpectRefused({.num_beams = 2, .length_penalty = -kInfinity}, "length_penalty", "-inf");
}

TEST(SamplingParamsTest, BadTokenCountsAreNamed) {
  ExpectRefused({.max_new_tokens = 0}, "max_new_tokens", "0");
  ExpectRefused({.max_new_tokens = -7}, "max_new_tokens", "-7");
  ExpectRefused({.min_new_tokens = -1}, "min_new_tokens", "-1");
  ExpectRefused({.max_new_tokens = 5, .min_new_tokens = 6}, "min_new_tokens: 6", "5");
}

SamplingParams With(LogitsRules rules) {
  SamplingParams params;
  params.SetRules(std::move(rules));
  return params;
}

TEST(SamplingParamsTest, RulesThatAreAllOffAreNone) {
  EXPECT_EQ(With({}).rules, nullptr);
  EXPECT_NE(With({.no_repeat_ngram_size = 3}).rules, nullptr);
}

TEST(SamplingParamsTest, BadRulesAreNamed) {
  ExpectRefused(With({.repetition_penalty = 0}), "repetition_penalty", "0");
  ExpectRefused(With({.repetition_penalty = -1.25}), "repetition_penalty", "-1.25");
  ExpectRefused(With({.repetition_penalty = kNan}), "repetition_penalty", "nan");
  ExpectRefused(With({.encoder_repetition_penalty = kInfinity}), "encoder_repetition_penalty",
                "inf");
  ExpectRefused(With({.no_repeat_ngram_size = -2}), "no_repeat_ngram_size", "-2");
  ExpectRefused(With({.encoder_no_repeat_ngram_size = -3}), "encoder_no_repeat_ngram_size", "-3");
  ExpectRefused(With({.bad_words_ids = {{3}, {}}}), "bad_words_ids", "[]");
  ExpectRefused(With({.bad_words_ids = {{3, -1}}}), "bad_words_ids", "-1");
  ExpectRefused(With({.sequence_bias = {{{3}, kNan}}}), "sequence_bias", "nan");
  ExpectRefused(With({.exponential_decay_factor = -1}), "exponential_decay_length_penalty", "-1");
  ExpectRefused(With({.forced_bos_token_id = -2}), "forced_bos_token_id", "-2");
}

TEST(SamplingParamsTest, TheEncodersPenaltyIsNotForBeams) {
  SamplingParams params = With({.encoder_repetition_penalty = 1.5});
  EXPECT_TRUE(params.Validate().ok());
  params.num_beams = 2;
  ExpectRefused(params, "encoder_repetition_penalty", "num_beams");
}

TEST(SamplingParamsTest, IdsOutsideTheVocabularyAreNamed) {
  const std::vector<std::pair<LogitsRules, std::string>> kCases = {
      {{.bad_words_ids = {{3}, {4, 50}}}, "bad_words_ids"},
      {{.suppress_tokens = {4, 50}}, "suppress_tokens"},
      {{.begin_suppress_tokens = {50}}, "begin_suppress_tokens"},
      {{.forced_bos_token_id = 50}, "forced_bos_token_id"},
      {{.forced_eos_token_id = {50}}, "forced_eos_token_id"},
      {{.sequence_bias = {{{50}, 1}}}, "sequence_bias"}};
  for (const auto& [rules, field] : kCases) {
    EXPECT_TRUE(With(rules).Validate(51).ok()) << field;
    EXPECT_THAT(std::string(With(rules).Validate(50).message()),
                AllOf(HasSubstr(field), HasSubstr("50")));
  }
}

TEST(SamplingParamsTest, ListsAreBounded) {
  EXPECT_TRUE(With({.suppress_tokens = std::vector<int32_t>(kMaxRuleIds, 2)}).Validate().ok());
  ExpectRefused(
      With({.bad_words_ids = {{2}}, .suppress_tokens = std::vector<int32_t>(kMaxRuleIds, 2)}),
      "bad_words_ids", "65537");
}

}  // namespace sampling_params_test
}  // namespace mellow::nn
