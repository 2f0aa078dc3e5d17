#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/nn/lora.h"
#include "common/nn/roberta_config.h"
#include "common/nn/t5_config.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace config_test {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<T5Config> T5(json fields) {
  if (!fields.contains("model_type")) fields["model_type"] = "t5";
  return ParseT5Config(fields.dump(), "config.json");
}

absl::StatusOr<RobertaConfig> Roberta(json fields) {
  if (!fields.contains("model_type")) fields["model_type"] = "roberta";
  return ParseRobertaConfig(fields.dump(), "config.json");
}

TEST(T5ConfigTest, DefaultsAreThoseOfTransformers) {
  const auto config = T5(json::object());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocab_size, 32128);
  EXPECT_EQ(config->num_decoder_layers, 6);
  EXPECT_EQ(config->relative_attention_max_distance, 128);
  EXPECT_EQ(config->inner_dim(), 512);
  EXPECT_FALSE(config->gated);
  EXPECT_EQ(config->activation, Activation::kRelu);
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(1));
}

TEST(T5ConfigTest, TheDecoderIsAsDeepAsTheEncoderUnlessSaid) {
  EXPECT_EQ(T5({{"num_layers", 3}})->num_decoder_layers, 3);
  EXPECT_EQ(T5({{"num_layers", 3}, {"num_decoder_layers", nullptr}})->num_decoder_layers, 3);
  EXPECT_EQ(T5({{"num_layers", 3}, {"num_decoder_layers", 5}})->num_decoder_layers, 5);
}

TEST(T5ConfigTest, FeedForwardProjections) {
  const struct {
    const char* text;
    bool gated;
    Activation activation;
  } kCases[] = {
      {"relu", false, Activation::kRelu},         {"gelu", false, Activation::kGelu},
      {"gelu_new", false, Activation::kGeluNew},  {"silu", false, Activation::kSilu},
      {"gated-gelu", true, Activation::kGeluNew}, {"gated-gelu_new", true, Activation::kGeluNew},
      {"gated-silu", true, Activation::kSilu},    {"gated-relu", true, Activation::kRelu}};
  for (const auto& test : kCases) {
    const auto config = T5({{"feed_forward_proj", test.text}});
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->gated, test.gated) << test.text;
    EXPECT_EQ(config->activation, test.activation) << test.text;
  }
  for (const char* bad : {"", "gated", "gated-", "gated-tanh", "gated-gated-gelu", "Relu"}) {
    const absl::Status status = T5({{"feed_forward_proj", bad}}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("feed_forward_proj"));
  }
}

TEST(T5ConfigTest, TheResultsThatNewerTransformersWriteHavePriority) {
  const auto config =
      T5({{"feed_forward_proj", "gated-gelu"}, {"dense_act_fn", "silu"}, {"is_gated_act", false}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->activation, Activation::kSilu);
  EXPECT_FALSE(config->gated);
  EXPECT_FALSE(T5({{"dense_act_fn", "tanh"}}).ok());
}

TEST(T5ConfigTest, NamesEveryBadFieldWithItsValue) {
  for (const char* field :
       {"vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads",
        "relative_attention_num_buckets", "relative_attention_max_distance"}) {
    for (const json& bad :
         {json(0), json(-7), json(1.5), json("8"), json(1ull << 40), json::array()}) {
      const absl::Status status = T5({{field, bad}}).status();
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << field << " " << bad;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(std::string(field) + " is " + bad.dump()));
    }
  }
  const absl::Status two = T5({{"d_kv", 0}, {"d_ff", -1}}).status();
  EXPECT_THAT(std::string(two.message()),
              ::testing::AllOf(HasSubstr("d_kv is 0"), HasSubstr("d_ff is -1")));
}

TEST(T5ConfigTest, RefusesSizesThatDoNotFitTogether) {
  EXPECT_FALSE(T5({{"vocab_size", 1 << 30}, {"d_model", 1 << 10}}).ok());
  EXPECT_FALSE(T5({{"num_heads", 1 << 19}, {"d_kv", 1 << 19}}).ok());
  EXPECT_FALSE(
      T5({{"relative_attention_num_buckets", 32}, {"relative_attention_max_distance", 16}}).ok());
  EXPECT_FALSE(T5({{"vocab_size", 10}, {"eos_token_id", 10}}).ok());
  EXPECT_FALSE(T5({{"pad_token_id", -1}}).ok());
}

TEST(T5ConfigTest, TellsAnotherArchitecture) {
  const absl::Status status = T5({{"model_type", "bart"}}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("model_type is \"bart\", expected t5"));
  EXPECT_FALSE(ParseT5Config("{}", "config.json").ok());
  EXPECT_TRUE(absl::IsNotFound(ReadT5Config("/nonexistent").status()));
}

// With the fields of old releases that the published files still have.
TEST(T5ConfigTest, ReadsFlanT5) {
  const auto config = T5({{"architectures", {"T5ForConditionalGeneration"}},
                          {"classifier_dropout", 0.0},
                          {"d_ff", 2048},
                          {"d_kv", 64},
                          {"d_model", 768},
                          {"decoder_start_token_id", 0},
                          {"dense_act_fn", "gelu_new"},
                          {"dropout_rate", 0.1},
                          {"eos_token_id", 1},
                          {"feed_forward_proj", "gated-gelu"},
                          {"initializer_factor", 1.0},
                          {"is_encoder_decoder", true},
                          {"is_gated_act", true},
                          {"layer_norm_epsilon", 1e-6},
                          {"n_positions", 512},
                          {"num_decoder_layers", 12},
                          {"num_heads", 12},
                          {"num_layers", 12},
                          {"output_past", true},
                          {"pad_token_id", 0},
                          {"relative_attention_max_distance", 128},
                          {"relative_attention_num_buckets", 32},
                          {"task_specific_params", {{"summarization", {{"num_beams", 4}}}}},
                          {"tie_word_embeddings", false},
                          {"torch_dtype", "float32"},
                          {"transformers_version", "4.54.1"},
                          {"use_cache", true},
                          {"vocab_size", 32128}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->d_model, 768);
  EXPECT_TRUE(config->gated);
  EXPECT_EQ(config->activation, Activation::kGeluNew);
  EXPECT_FALSE(config->tie_word_embeddings);
}

TEST(RobertaConfigTest, DefaultsAreThoseOfTransformers) {
  const auto config = Roberta(json::object());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocab_size, 50265);
  EXPECT_EQ(config->max_tokens(), 510);
  EXPECT_EQ(config->type_vocab_size, 2);
  EXPECT_EQ(config->layer_norm_eps, 1e-12);
  EXPECT_EQ(config->hidden_act, Activation::kGelu);
  EXPECT_THAT(config->labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_THAT(Roberta({{"num_labels", 1}})->labels, ElementsAre("LABEL_0"));
}

TEST(RobertaConfigTest, LabelsAreInTheOrderOfTheirIds) {
  json labels = json::object();
  for (int i = 11; i >= 0; --i) labels[std::to_string(i)] = "class " + std::to_string(i);
  const auto config = Roberta({{"id2label", labels}});
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->labels.size(), 12u);
  EXPECT_EQ(config->labels[2], "class 2");
  EXPECT_EQ(config->labels[11], "class 11");
}

TEST(RobertaConfigTest, RefusesLabelsWithGaps) {
  for (const char* bad : {R"({"1": "a", "2": "b"})", R"({"0": "a", "2": "b"})", R"({"0": [1]})",
                          R"({"a": "b"})", R"({"00": "a"})", R"({"0": 0.5})", R"({"0": null})",
                          R"({"-1": "a", "0": "b"})", "[]", "{}", R"(["a"])", "3"}) {
    const absl::Status status = Roberta({{"id2label", json::parse(bad)}}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("id2label is"));
  }
}

TEST(RobertaConfigTest, RefusesWhatChangesTheNumbers) {
  EXPECT_FALSE(Roberta({{"position_embedding_type", "relative_key"}}).ok());
  EXPECT_FALSE(Roberta({{"is_decoder", true}}).ok());
  EXPECT_FALSE(Roberta({{"num_attention_heads", 7}}).ok());
  EXPECT_FALSE(Roberta({{"max_position_embeddings", 3}}).ok());
  EXPECT_FALSE(Roberta({{"pad_token_id", 50265}}).ok());
  EXPECT_FALSE(Roberta({{"model_type", "t5"}}).ok());
  EXPECT_FALSE(Roberta({{"hidden_size", 1 << 20}}).ok());
}

TEST(RobertaConfigTest, ReadsAHateClassifier) {
  const auto config = Roberta({{"architectures", {"RobertaForSequenceClassification"}},
                               {"attention_probs_dropout_prob", 0.1},
                               {"bos_token_id", 0},
                               {"classifier_dropout", nullptr},
                               {"eos_token_id", 2},
                               {"gradient_checkpointing", false},
                               {"hidden_act", "gelu"},
                               {"hidden_dropout_prob", 0.1},
                               {"hidden_size", 768},
                               {"id2label", {{"0", "non-hate"}, {"1", "hate"}}},
                               {"initializer_range", 0.02},
                               {"intermediate_size", 3072},
                               {"label2id", {{"hate", 1}, {"non-hate", 0}}},
                               {"layer_norm_eps", 1e-5},
                               {"max_position_embeddings", 514},
                               {"num_attention_heads", 12},
                               {"num_hidden_layers", 12},
                               {"pad_token_id", 1},
                               {"position_embedding_type", "absolute"},
                               {"torch_dtype", "float32"},
                               {"type_vocab_size", 1},
                               {"use_cache", true},
                               {"vocab_size", 50265}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->labels, ElementsAre("non-hate", "hate"));
}

TEST(LoraConfigTest, TheBaseIsTheHubsIdWhereItIsKnown) {
  const auto named = [](const std::string& folder, const std::string& before) {
    LoraConfig config = {.base_model_name_or_path = before, .revision = "old"};
    NameBaseModel(folder, &config);
    return config.base_model_name_or_path + "@" + config.revision;
  };
  const std::string snapshot = "/c/hub/models--google--flan-t5-base/snapshots/7bcac57";
  EXPECT_EQ(named(snapshot, ""), "google/flan-t5-base@7bcac57");
  EXPECT_EQ(named(snapshot + "/", "a/b"), "google/flan-t5-base@7bcac57");
  EXPECT_EQ(named("/c/models--t5-small/snapshots/df1b051", ""), "t5-small@df1b051");
  EXPECT_EQ(named("/models/flan", "google/flan-t5-base"), "google/flan-t5-base@old");
  EXPECT_EQ(named("/models/flan", "/models/other"), "/models/flan@");
  EXPECT_EQ(named("models/flan", ""), "models/flan@");
  mellow::testing::TempFolder folder;
  EXPECT_TRUE(LooksLikeHubId("google/flan-t5-base"));
  EXPECT_FALSE(LooksLikeHubId(folder.path()));
  EXPECT_FALSE(LooksLikeHubId("a/b/c"));
  EXPECT_FALSE(LooksLikeHubId("./b"));
  EXPECT_FALSE(LooksLikeHubId(""));
}

TEST(LoraConfigTest, ScalingIsAlphaOverRankOrOverItsRoot) {
  LoraConfig config = {.r = 16, .lora_alpha = 8};
  EXPECT_DOUBLE_EQ(config.ScalingOf("q", 16), 0.5);
  config.use_rslora = true;
  EXPECT_DOUBLE_EQ(config.ScalingOf("q", 16), 2.0);
  config.module_alphas["v"] = 2;
  EXPECT_DOUBLE_EQ(config.ScalingOf("v", 4), 1.0);
}

}  // namespace config_test
}  // namespace mellow::nn
