#include "common/nn/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/nn/t5_config.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace generation_config_test {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kVocab = 50;
const json kModel = {{"decoder_start_token_id", 0}, {"eos_token_id", 1}, {"pad_token_id", 0}};

mellow::json::Value Ours(const json& value) { return *mellow::json::Parse(value.dump(), "test"); }

absl::StatusOr<GenerationConfig> Parse(const json& file, const json& model = kModel) {
  const std::string text = file.dump();
  return ParseGenerationConfig(Ours(model), "config.json",
                               NamedText{text, "generation_config.json"}, kVocab);
}

json With(json base, const json& more) {
  base.update(more);
  return base;
}

TEST(GenerationConfigTest, WithoutAFileItIsWhatTheModelSays) {
  const auto plain =
      ParseGenerationConfig(Ours(json::object()), "config.json", std::nullopt, kVocab);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_THAT(plain->eos_token_ids, ElementsAre(1));  // T5Config's defaults
  EXPECT_EQ(plain->pad_token_id, 0);
  EXPECT_EQ(plain->sampling.rules, nullptr);
  EXPECT_THAT(plain->warnings, IsEmpty());
  const auto legacy = ParseGenerationConfig(
      Ours(With(kModel,
                {{"num_beams", 4}, {"max_length", 60}, {"eos_token_id", {1, 7}}, {"unknown", 1}})),
      "config.json", std::nullopt, kVocab);
  ASSERT_TRUE(legacy.ok()) << legacy.status();
  EXPECT_EQ(legacy->sampling.num_beams, 4);
  EXPECT_EQ(legacy->max_new_tokens, 59);  // without the start token
  EXPECT_THAT(legacy->eos_token_ids, ElementsAre(1, 7));
  EXPECT_THAT(legacy->warnings, IsEmpty());  // unknown fields of config.json are not of generation
}

TEST(GenerationConfigTest, AFileSaysEverything) {
  const auto config = Parse({{"decoder_start_token_id", 7}, {"eos_token_id", {3, 1}}},
                            With(kModel, {{"num_beams", 4}}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->sampling.num_beams, 1);
  EXPECT_EQ(config->decoder_start_token_id, 7);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(3, 1));
  EXPECT_EQ(config->pad_token_id, std::nullopt);
  const auto bos = Parse({{"bos_token_id", 9}, {"eos_token_id", 1}});
  EXPECT_EQ(bos->decoder_start_token_id, 9);
}

TEST(GenerationConfigTest, AFileMadeFromTheModelGivesWayToFieldsOfTheModel) {
  const json file = {{"_from_model_config", true}, {"eos_token_id", {1, 3}}};
  const auto kept =
      Parse(file, With(kModel, {{"num_beams", 1}, {"top_k", 50}, {"bad_words_ids", nullptr}}));
  EXPECT_THAT(kept->eos_token_ids, ElementsAre(1, 3));
  EXPECT_THAT(kept->warnings, IsEmpty());
  const auto left = Parse(file, With(kModel, {{"num_beams", 4}}));
  EXPECT_EQ(left->sampling.num_beams, 4);
  EXPECT_THAT(left->eos_token_ids, ElementsAre(1));
  EXPECT_THAT(left->warnings, ElementsAre(HasSubstr("generation_config.json is left aside")));
}

TEST(GenerationConfigTest, EveryFieldIsRead) {
  const auto config = Parse({{"eos_token_id", 1},
                             {"do_sample", true},
                             {"temperature", 0.5},
                             {"top_k", 7},
                             {"top_p", 0.25},
                             {"length_penalty", 2.0},
                             {"early_stopping", "never"},
                             {"repetition_penalty", 1.5},
                             {"encoder_repetition_penalty", 1.25},
                             {"no_repeat_ngram_size", 3},
                             {"encoder_no_repeat_ngram_size", 4},
                             {"bad_words_ids", {{5}, {6, 7}}},
                             {"suppress_tokens", {8}},
                             {"begin_suppress_tokens", {9}},
                             {"forced_bos_token_id", 10},
                             {"forced_eos_token_id", {1, 11}},
                             {"sequence_bias", {{{12, 13}, -2.5}}},
                             {"exponential_decay_length_penalty", {4, 1.1}},
                             {"min_p", 0.05},
                             {"typical_p", 0.9},
                             {"epsilon_cutoff", 0.001},
                             {"eta_cutoff", 0.002},
                             {"renormalize_logits", true},
                             {"max_new_tokens", 40},
                             {"max_length", 9},
                             {"min_length", 4}});
  ASSERT_TRUE(config.ok()) << config.status();
  const SamplingParams& s = config->sampling;
  EXPECT_TRUE(s.do_sample);
  EXPECT_EQ(s.temperature, 0.5);
  EXPECT_EQ(s.top_k, 7);
  EXPECT_EQ(s.top_p, 0.25);
  EXPECT_EQ(s.length_penalty, 2);
  EXPECT_EQ(s.early_stopping, EarlyStopping::kNever);
  EXPECT_EQ(*s.rules, LogitsRules({.repetition_penalty = 1.5,
                                   .encoder_repetition_penalty = 1.25,
                                   .no_repeat_ngram_size = 3,
                                   .encoder_no_repeat_ngram_size = 4,
                                   .sequence_bias = {{{12, 13}, -2.5}},
                                   .bad_words_ids = {{5}, {6, 7}},
                                   .suppress_tokens = {8},
                                   .begin_suppress_tokens = {9},
                                   .forced_bos_token_id = 10,
                                   .forced_eos_token_id = {1, 11},
                                   .exponential_decay_start = 4,
                                   .exponential_decay_factor = 1.1,
                                   .min_p = 0.05,
                                   .typical_p = 0.9,
                                   .epsilon_cutoff = 0.001,
                                   .eta_cutoff = 0.002,
                                   .renormalize_logits = true}));
  EXPECT_EQ(config->max_new_tokens, 40);  // it counts, not max_length
  EXPECT_EQ(config->min_new_tokens, 3);
  EXPECT_EQ(config->Defaults(128, 512).max_new_tokens, 40);
  EXPECT_EQ(config->Defaults(128, 20).max_new_tokens, 20);
  EXPECT_EQ(config->Defaults(128, 2).min_new_tokens, 2);
  // What GetInfo has no field for is said in words.
  EXPECT_EQ(config->warnings.size(), 6u);
}

// What saved files leave out of sampling is transformers' default; for requests it is Mellow's.
TEST(GenerationConfigTest, AFileThatSamplesMeansTopK50) {
  EXPECT_EQ(Parse({{"eos_token_id", 1}, {"do_sample", true}})->sampling.top_k, 50);
  EXPECT_EQ(Parse({{"eos_token_id", 1}, {"do_sample", true}, {"top_k", 0}})->sampling.top_k, 0);
  EXPECT_EQ(Parse({{"eos_token_id", 1}})->sampling.top_k, 0);
  EXPECT_EQ(Parse({{"eos_token_id", 1}, {"do_sample", true}, {"num_beams", 4}})->sampling.top_k,
            50);
}

TEST(GenerationConfigTest, WhatIsNotImplementedIsRefusedByNameUnlessItIsOff) {
  const json off = {{"eos_token_id", 1},         {"num_beam_groups", 1},
                    {"diversity_penalty", 0.0},  {"penalty_alpha", nullptr},
                    {"num_return_sequences", 1}, {"guidance_scale", 1.0},
                    {"max_time", nullptr},       {"use_cache", false},
                    {"output_scores", true},     {"transformers_version", "4.45.2"}};
  const auto fine = Parse(off);
  ASSERT_TRUE(fine.ok()) << fine.status();
  EXPECT_THAT(fine->warnings, IsEmpty());
  const std::vector<std::pair<std::string, json>> kOn = {{"num_beam_groups", 2},
                                                         {"diversity_penalty", 0.5},
                                                         {"penalty_alpha", 0.6},
                                                         {"num_return_sequences", 3},
                                                         {"top_h", 0.4},
                                                         {"guidance_scale", 1.5},
                                                         {"max_time", 3},
                                                         {"stop_strings", {"x"}},
                                                         {"force_words_ids", {{4}}},
                                                         {"forced_decoder_ids", {{1, 2}}},
                                                         {"watermarking_config", json::object()},
                                                         {"token_healing", true},
                                                         {"prompt_lookup_num_tokens", 3},
                                                         {"dola_layers", "low"},
                                                         {"constraints", json::array()}};
  for (const auto& [name, value] : kOn) {
    EXPECT_TRUE(IsUnsupportedGenerationField(name)) << name;
    EXPECT_THAT(std::string(Parse(With(off, {{name, value}})).status().message()),
                AllOf(HasSubstr(name + " is " + value.dump()), HasSubstr("not implemented")));
  }
}

TEST(GenerationConfigTest, BadValuesAreNamedTogether) {
  const absl::Status status = Parse({{"eos_token_id", {1, 50}},
                                     {"decoder_start_token_id", -1},
                                     {"early_stopping", "always"},
                                     {"bad_words_ids", {5}},
                                     {"suppress_tokens", {-1}},
                                     {"max_length", 1},
                                     {"num_beams", 1.5}})
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* field : {"eos_token_id", "decoder_start_token_id", "early_stopping",
                            "bad_words_ids", "suppress_tokens", "max_length", "num_beams"})
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(field) + " is "));
  EXPECT_THAT(
      std::string(Parse({{"eos_token_id", 1}, {"suppress_tokens", {50}}}).status().message()),
      AllOf(HasSubstr("generation_config.json"), HasSubstr("suppress_tokens: 50")));
  EXPECT_FALSE(Parse({{"eos_token_id", 1}, {"temperature", 0}}).ok());
  EXPECT_FALSE(Parse({{"eos_token_id", 1}, {"min_p", 1.5}}).ok());
}

TEST(GenerationConfigTest, UnknownFieldsAndAMissingEndAreWarnings) {
  const auto config = Parse({{"no_repeat_ngram", 3}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->warnings, ElementsAre(HasSubstr("key \"no_repeat_ngram\" (3) is not known"),
                                            HasSubstr("no eos_token_id")));
  EXPECT_THAT(config->eos_token_ids, IsEmpty());
}

TEST(GenerationConfigTest, TheFolderOfAModelHasBothFiles) {
  const mellow::testing::TempFolder folder;
  const auto write = [&](const char* name, const json& content) {
    std::ofstream(folder.path() + "/" + name) << content.dump();
  };
  write("config.json", With(kModel, {{"model_type", "t5"}, {"vocab_size", kVocab}}));
  EXPECT_EQ(ReadT5Config(folder.path())->decoder_start_token_id, 0);
  write("generation_config.json", {{"decoder_start_token_id", 7}, {"eos_token_id", {1, 4}}});
  const auto config = ReadT5Config(folder.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->decoder_start_token_id, 7);
  EXPECT_TRUE(config->IsEnd(4));
  EXPECT_FALSE(config->IsEnd(7));
  EXPECT_THAT(config->warnings, ElementsAre(HasSubstr("decoder_start_token_id 7 counts, not 0")));
  write("generation_config.json", json::array());
  EXPECT_THAT(std::string(ReadT5Config(folder.path()).status().message()),
              HasSubstr("generation_config.json: not a JSON object"));
}

}  // namespace generation_config_test
}  // namespace mellow::nn
