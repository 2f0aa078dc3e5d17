// The keys of config.json: which are read, which are harmless, which are refused, and that nothing
// else passes without a word.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "common/nn/roberta_config.h"
#include "common/nn/t5_config.h"

namespace mellow::nn {
namespace config_keys_test {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<T5Config> T5(const char* type, json fields = json::object()) {
  fields["model_type"] = type;
  return ParseT5Config(fields.dump(), "config.json");
}

absl::StatusOr<RobertaConfig> Roberta(json fields) {
  fields["model_type"] = "roberta";
  return ParseRobertaConfig(fields.dump(), "config.json");
}

TEST(ConfigKeysTest, AnUnknownKeyIsAWarningWithItsValue) {
  const auto t5 = T5("t5", {{"decoder_start_token_id", 0},
                            {"rope_theta", 10000},
                            {"n_positions", 512},
                            {"nothing", nullptr}});
  ASSERT_TRUE(t5.ok()) << t5.status();
  EXPECT_THAT(t5->warnings, ElementsAre("config.json: key \"rope_theta\" (10000) is not known"));
  const auto roberta = Roberta({{"embedding_size", 128}, {"classifier_dropout", 0.2}});
  ASSERT_TRUE(roberta.ok()) << roberta.status();
  EXPECT_THAT(roberta->warnings,
              ElementsAre("config.json: key \"embedding_size\" (128) is not known"));
}

// transformers has no default for T5's (it has one for mT5 and UMT5) and refuses to generate.
TEST(ConfigKeysTest, AMissingDecoderStartIsAWarning) {
  EXPECT_THAT(T5("t5")->warnings, ElementsAre(HasSubstr("decoder_start_token_id is missing")));
  EXPECT_THAT(T5("mt5")->warnings, IsEmpty());
  EXPECT_THAT(T5("umt5")->warnings, IsEmpty());
}

TEST(ConfigKeysTest, WhatTransformersWritesOfItselfIsKnown) {
  const json common = json::parse(R"({
      "_name_or_path": "x", "architectures": ["A"], "transformers_version": "4.2.0",
      "torch_dtype": "float32", "dtype": "bfloat16", "use_cache": true, "return_dict": true,
      "output_hidden_states": false, "output_attentions": false, "torchscript": false,
      "use_bfloat16": false, "tf_legacy_loss": false, "pruned_heads": {}, "chunk_size_feed_forward": 0,
      "is_decoder": false, "cross_attention_hidden_size": null, "add_cross_attention": false,
      "tie_encoder_decoder": false, "tie_word_embeddings": true, "finetuning_task": null,
      "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
      "tokenizer_class": null, "prefix": null, "bos_token_id": 0, "sep_token_id": null,
      "task_specific_params": {"summarization": {"prefix": "summarize: "}}, "problem_type": null,
      "gradient_checkpointing": false, "_attn_implementation_autoset": true,
      "max_length": 20, "num_beams": 1, "early_stopping": false, "bad_words_ids": null,
      "suppress_tokens": null, "begin_suppress_tokens": null, "typical_p": 1.0})");
  json t5 = common;
  t5["is_encoder_decoder"] = true;
  t5["output_past"] = true;
  t5["decoder_start_token_id"] = 0;
  EXPECT_THAT(T5("t5", t5)->warnings, IsEmpty());
  t5["scalable_attention"] = true;  // in Google's UMT5 folders; transformers does not read it
  EXPECT_THAT(T5("umt5", t5)->warnings, IsEmpty());
  json roberta = common;
  roberta["is_encoder_decoder"] = false;
  roberta["position_embedding_type"] = "absolute";
  roberta["hidden_dropout_prob"] = 0.1;
  EXPECT_THAT(Roberta(roberta)->warnings, IsEmpty());
}

TEST(ConfigKeysTest, AValueThatWouldChangeNumbersIsRefusedByName) {
  const struct {
    const char* key;
    json value;
  } kT5[] = {{"is_encoder_decoder", false},  {"tie_encoder_decoder", true},
             {"pruned_heads", {{"0", {1}}}}, {"quantization_config", {{"load_in_8bit", true}}},
             {"hidden_size", 100},           {"num_hidden_layers", 1},
             {"num_attention_heads", 3},     {"head_dim", 9}};
  for (const auto& test : kT5) {
    // The canonical names beside the common ones, which then must agree.
    json fields = {{"d_model", 512}, {"num_layers", 6}, {"num_heads", 8}, {"d_kv", 64}};
    fields[test.key] = test.value;
    const absl::Status status = T5("t5", fields).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << test.key;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.key));
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.value.dump()));
  }
  const json roberta = json::parse(R"({"is_decoder": true, "add_cross_attention": true,
      "position_embedding_type": "relative_key", "pruned_heads": {"1": [0]}, "hidden_act": "tanh",
      "quantization_config": {"bits": 4}})");
  for (const auto& [key, value] : roberta.items()) {
    const absl::Status status = Roberta({{key, value}}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << key;
    EXPECT_THAT(std::string(status.message()), HasSubstr(key));
  }
}

TEST(ConfigKeysTest, TheCommonNamesOfSizesCountAsTheirOwn) {
  const auto config = T5("t5", {{"hidden_size", 24}, {"num_hidden_layers", 3}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->d_model, 24);
  EXPECT_EQ(config->num_layers, 3);
}

TEST(ConfigKeysTest, EachFamilyHasItsOwnDefaults) {
  const auto mt5 = T5("mt5");
  const auto umt5 = T5("umt5");
  for (const auto& config : {mt5, umt5}) {
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->vocab_size, 250112);
    EXPECT_EQ(config->d_ff, 1024);
    EXPECT_EQ(config->num_decoder_layers, 8);
    EXPECT_EQ(config->num_heads, 6);
    EXPECT_TRUE(config->gated);
    EXPECT_EQ(config->activation, Activation::kGeluNew);
  }
  EXPECT_FALSE(mt5->tie_word_embeddings);
  EXPECT_FALSE(mt5->bias_in_every_layer);
  EXPECT_TRUE(umt5->tie_word_embeddings);
  EXPECT_TRUE(umt5->bias_in_every_layer);
}

// Up to version 4 one flag, since 5 another.
TEST(ConfigKeysTest, TheHeadsScaleIsWhatTheWritersVersionMeansByItsFlags) {
  const struct {
    const char* type;
    json fields;
    bool scaled;
  } kCases[] = {
      {"t5", {}, true},
      {"t5", {{"tie_word_embeddings", false}}, false},
      {"t5", {{"tie_word_embeddings", true}, {"scale_decoder_outputs", false}}, false},
      {"t5", {{"tie_word_embeddings", true}, {"scale_decoder_outputs", true}}, true},
      {"mt5", {{"tie_word_embeddings", true}, {"transformers_version", "4.45.2"}}, true},
      {"mt5", {{"tie_word_embeddings", true}, {"transformers_version", "5.24.0"}}, false},
      {"umt5", {{"tie_word_embeddings", true}, {"scale_decoder_outputs", false}}, false},
      {"umt5", {{"tie_word_embeddings", false}}, false},
  };
  for (const auto& test : kCases) {
    const auto config = T5(test.type, test.fields.is_null() ? json::object() : test.fields);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->scale_decoder_outputs, test.scaled) << test.type << " " << test.fields;
  }
  EXPECT_FALSE(T5("mt5", {{"scale_decoder_outputs", true}}).ok());
  EXPECT_FALSE(T5("longt5").ok());
}

}  // namespace config_keys_test
}  // namespace mellow::nn
