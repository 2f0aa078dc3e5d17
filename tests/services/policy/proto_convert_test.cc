#include "services/policy/proto_convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "services/policy/policy_service.h"
#include "tests/testing/fake_seq2seq_model.h"

namespace mellow::policy {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SamplingContext Context(nn::SamplingParams defaults = {.max_new_tokens = 16}) {
  return {std::move(defaults), /*max_new_tokens=*/32, /*vocab_size=*/64};
}

nn::SamplingParams WithRules(nn::SamplingParams params, nn::LogitsRules rules) {
  params.SetRules(std::move(rules));
  return params;
}

void ExpectRefused(const v1::SamplingParams& proto, const std::string& part,
                   const SamplingContext& context = Context()) {
  const auto params = FromProto(proto, context);
  EXPECT_EQ(params.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(params.status().message()),
              AllOf(HasSubstr("sampling"), HasSubstr(part)));
}

TEST(SamplingFromProtoTest, WhatIsUnsetIsTheServersDefault) {
  const nn::SamplingParams defaults =
      WithRules({.num_beams = 4,
                 .length_penalty = 2,
                 .early_stopping = nn::EarlyStopping::kNever,
                 .max_new_tokens = 16,
                 .min_new_tokens = 6},
                {.no_repeat_ngram_size = 3, .forced_bos_token_id = 7, .forced_eos_token_id = {1}});
  const auto params = FromProto({}, Context(defaults));
  ASSERT_TRUE(params.ok()) << params.status();
  EXPECT_EQ(params->num_beams, 4);
  EXPECT_EQ(params->length_penalty, 2);
  EXPECT_EQ(params->early_stopping, nn::EarlyStopping::kNever);
  EXPECT_EQ(params->max_new_tokens, 16);
  EXPECT_EQ(params->min_new_tokens, 6);
  EXPECT_EQ(params->rules, defaults.rules) << "shared, not copied";

  v1::SamplingParams own;
  own.set_num_beams(2);
  own.set_early_stopping(v1::EARLY_STOPPING_TRUE);
  own.set_max_new_tokens(3);
  own.set_no_repeat_ngram_size(0);
  own.set_repetition_penalty(1.5);
  own.set_forced_eos_token_id(-1);
  const auto changed = FromProto(own, Context(defaults));
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->num_beams, 2);
  EXPECT_EQ(changed->early_stopping, nn::EarlyStopping::kTrue);
  EXPECT_EQ(changed->min_new_tokens, 3) << "the model's least length gives way";
  EXPECT_EQ(*changed->rules,
            nn::LogitsRules({.repetition_penalty = 1.5, .forced_bos_token_id = 7}));
  own.set_forced_bos_token_id(-1);
  own.set_repetition_penalty(1);
  EXPECT_EQ(FromProto(own, Context(defaults))->rules, nullptr);
}

TEST(SamplingFromProtoTest, EveryFieldOfTheWireArrives) {
  v1::SamplingParams proto;
  proto.set_repetition_penalty(1.25);
  proto.set_no_repeat_ngram_size(2);
  proto.set_encoder_no_repeat_ngram_size(3);
  proto.mutable_bad_words_ids()->add_sequences()->add_ids(5);
  proto.mutable_bad_words_ids()->add_sequences()->add_ids(6);
  proto.mutable_bad_words_ids()->mutable_sequences(1)->add_ids(7);
  proto.mutable_suppress_tokens()->add_ids(8);
  proto.set_forced_bos_token_id(9);
  proto.set_forced_eos_token_id(10);
  proto.set_min_p(0.25);
  proto.set_typical_p(0.75);
  proto.set_epsilon_cutoff(0.125);
  proto.set_eta_cutoff(0.0625);
  const auto params = FromProto(proto, Context());
  ASSERT_TRUE(params.ok()) << params.status();
  EXPECT_EQ(*params->rules, nn::LogitsRules({.repetition_penalty = 1.25,
                                             .no_repeat_ngram_size = 2,
                                             .encoder_no_repeat_ngram_size = 3,
                                             .bad_words_ids = {{5}, {6, 7}},
                                             .suppress_tokens = {8},
                                             .forced_bos_token_id = 9,
                                             .forced_eos_token_id = {10},
                                             .min_p = 0.25,
                                             .typical_p = 0.75,
                                             .epsilon_cutoff = 0.125,
                                             .eta_cutoff = 0.0625}));
  // And goes back as it came.
  const v1::SamplingParams back = ToProto(*params);
  EXPECT_EQ(*FromProto(back, Context())->rules, *params->rules);
}

TEST(SamplingFromProtoTest, BadFieldsAreNamed) {
  v1::SamplingParams proto;
  proto.set_repetition_penalty(0);
  ExpectRefused(proto, "repetition_penalty: 0");
  proto.Clear();
  proto.set_no_repeat_ngram_size(-1);
  ExpectRefused(proto, "no_repeat_ngram_size: -1");
  proto.Clear();
  proto.mutable_suppress_tokens()->add_ids(64);
  ExpectRefused(proto, "suppress_tokens: 64");
  proto.Clear();
  proto.mutable_bad_words_ids()->add_sequences();
  ExpectRefused(proto, "bad_words_ids");
  proto.Clear();
  proto.set_forced_bos_token_id(99);
  ExpectRefused(proto, "forced_bos_token_id: 99");
  proto.Clear();
  proto.set_min_p(2);
  ExpectRefused(proto, "min_p: 2");
  proto.Clear();
  proto.set_early_stopping(static_cast<v1::EarlyStopping>(9));
  ExpectRefused(proto, "early_stopping: 9");
}

TEST(SamplingFromProtoTest, ListsAreBoundedBeforeTheyAreCopied) {
  v1::SamplingParams proto;
  for (size_t i = 0; i <= nn::kMaxRuleIds; ++i) proto.mutable_bad_words_ids()->add_sequences();
  ExpectRefused(proto, "at most 65536");
}

TEST(SamplingFromProtoTest, BeamsOfTheModelAreSampledWhereTheRequestSamples) {
  v1::SamplingParams samples;
  samples.set_do_sample(true);
  const auto params = FromProto(samples, Context({.num_beams = 4, .max_new_tokens = 16}));
  ASSERT_TRUE(params.ok()) << params.status();
  EXPECT_TRUE(params->do_sample);
  EXPECT_EQ(params->num_beams, 4);
}

TEST(SamplingFromProtoTest, APromptsOwnLengthKeepsTheRest) {
  v1::SamplingParams proto;
  proto.set_no_repeat_ngram_size(2);
  const SamplingContext context = Context({.max_new_tokens = 16, .min_new_tokens = 6});
  const auto params = FromProto(proto, context);
  ASSERT_TRUE(params.ok()) << params.status();
  const auto own = WithLength(*params, 4, proto, context);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->max_new_tokens, 4);
  EXPECT_EQ(own->min_new_tokens, 4);
  EXPECT_EQ(own->rules, params->rules) << "shared";
  EXPECT_FALSE(WithLength(*params, 33, proto, context).ok());
  EXPECT_FALSE(WithLength(*params, 0, proto, context).ok());
}

class NoTokenizer : public text::Tokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view, int) const override {
    return std::vector<int32_t>();
  }
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t>, bool) const override { return ""; }
  int vocab_size() const override { return 64; }
};

TEST(PolicyInfoTest, ShowsWhatIsInForceForARequestThatSaysNothing) {
  testing::FakeSeq2SeqModel model;
  nn::T5Config* config = model.mutable_config();
  config->eos_token_ids = {1, 5};
  config->decoder_start_token_id = 7;
  config->warnings = {"config.json: unknown field x"};
  config->generation.sampling.num_beams = 3;
  config->generation.sampling.SetRules({.no_repeat_ngram_size = 3});
  config->generation.max_new_tokens = 1000;
  obs::Metrics metrics;
  AdapterTable adapters(2);
  PolicyEngine engine(&model, {}, &metrics);
  const nn::ModelHash hash("/nonexistent");
  const NoTokenizer tokenizer;
  PolicyOptions options;
  options.max_new_tokens = 32;
  options.default_max_new_tokens = 16;
  PolicyServiceImpl service(options, "cpu", &model, &hash, &tokenizer, &adapters, &engine,
                            &metrics);
  v1::GetInfoResponse info;
  const v1::GetInfoRequest request;
  ASSERT_TRUE(service.GetInfo(nullptr, &request, &info).ok());
  EXPECT_EQ(info.default_sampling().num_beams(), 3);
  EXPECT_EQ(info.default_sampling().no_repeat_ngram_size(), 3);
  EXPECT_EQ(info.default_sampling().max_new_tokens(), 32) << "at most what the node takes";
  EXPECT_THAT(info.eos_token_ids(), ElementsAre(1, 5));
  EXPECT_EQ(info.decoder_start_token_id(), 7);
  EXPECT_THAT(info.warnings(), ElementsAre("config.json: unknown field x"));
  // A request that says nothing is worth the beams that it will have.
  EXPECT_EQ(service.WorkOf(v1::SummarizeRequest()), 3 * 2);
}

}  // namespace
}  // namespace mellow::policy
