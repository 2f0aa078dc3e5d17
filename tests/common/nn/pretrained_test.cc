#include "common/nn/pretrained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/nn/weights/safetensors.h"
#include "tests/testing/temp_folder.h"

namespace mellow::nn {
namespace pretrained_test {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

HostTensor Matrix(float value) {
  return HostTensor::FromFloat32(std::vector<float>(8, value), {4, 2});
}

class PretrainedT5Test : public ::testing::Test {
 protected:
  absl::StatusOr<PretrainedT5> Read(json config, const TensorMap& tensors) {
    config["model_type"] = "t5";
    EXPECT_TRUE(WriteFileSynced(folder_ / "config.json", config.dump()).ok());
    EXPECT_TRUE(WriteSafetensors(folder_ / "model.safetensors", tensors).ok());
    return ReadPretrainedT5(folder_.path());
  }
  testing::TempFolder folder_;
};

TEST_F(PretrainedT5Test, TheEmbeddingHasOneNameWhateverTheFileCallsIt) {
  for (const char* name : {"shared.weight", "encoder.embed_tokens.weight",
                           "decoder.embed_tokens.weight", "lm_head.weight"}) {
    const auto model = Read({}, {{name, Matrix(1)}});
    ASSERT_TRUE(model.ok()) << name << model.status();
    EXPECT_THAT(model->tensors, ElementsAre(Key("shared.weight")));
    EXPECT_TRUE(model->config.tie_word_embeddings);
  }
  const auto all = Read({}, {{"shared.weight", Matrix(1)},
                             {"encoder.embed_tokens.weight", Matrix(1)},
                             {"decoder.embed_tokens.weight", Matrix(1)},
                             {"lm_head.weight", Matrix(1)}});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(all->tensors, ElementsAre(Key("shared.weight")));
}

TEST_F(PretrainedT5Test, ACopyThatDiffersIsRefusedWithBothNames) {
  for (const char* name : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}) {
    for (const bool tied : {true, false}) {
      const absl::Status status =
          Read({{"tie_word_embeddings", tied}},
               {{"shared.weight", Matrix(1)}, {"lm_head.weight", Matrix(3)}, {name, Matrix(2)}})
              .status();
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr(name), HasSubstr("shared.weight"), HasSubstr(folder_.path())));
    }
  }
  const absl::Status head =
      Read({}, {{"shared.weight", Matrix(1)}, {"lm_head.weight", Matrix(2)}}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(head)) << head;
  EXPECT_THAT(std::string(head.message()),
              AllOf(HasSubstr("lm_head.weight"), HasSubstr("tie_word_embeddings")));
}

// transformers 5 says tie_word_embeddings of every T5 and goes by the tensors.
TEST_F(PretrainedT5Test, AHeadOfItsOwnThatVersion5WroteStays) {
  const json five[] = {{{"tie_word_embeddings", true}, {"scale_decoder_outputs", false}},
                       {{"tie_word_embeddings", true}, {"transformers_version", "5.0.1"}}};
  for (const json& config : five) {
    const auto own = Read(config, {{"shared.weight", Matrix(1)}, {"lm_head.weight", Matrix(2)}});
    ASSERT_TRUE(own.ok()) << own.status();
    EXPECT_FALSE(own->config.tie_word_embeddings);
    EXPECT_THAT(own->tensors, UnorderedElementsAre(Key("shared.weight"), Key("lm_head.weight")));
    const auto same = Read(config, {{"shared.weight", Matrix(1)}, {"lm_head.weight", Matrix(1)}});
    ASSERT_TRUE(same.ok()) << same.status();
    EXPECT_TRUE(same->config.tie_word_embeddings);
    EXPECT_THAT(same->tensors, ElementsAre(Key("shared.weight")));
  }
}

TEST_F(PretrainedT5Test, AnUntiedHeadStaysAlsoWhereItEqualsTheEmbedding) {
  const auto model = Read({{"tie_word_embeddings", false}},
                          {{"shared.weight", Matrix(1)}, {"lm_head.weight", Matrix(1)}});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(model->tensors, UnorderedElementsAre(Key("shared.weight"), Key("lm_head.weight")));
}

TEST_F(PretrainedT5Test, OnlyTheKnownUnusedTensorIsLeftOut) {
  const auto model = Read(
      {}, {{"shared.weight", Matrix(1)},
           {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", Matrix(2)},
           {"decoder.block.1.layer.1.EncDecAttention.relative_attention_bias.weight", Matrix(2)}});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(
      model->tensors,
      ElementsAre(Key("decoder.block.1.layer.1.EncDecAttention.relative_attention_bias.weight"),
                  Key("shared.weight")));
}

TEST_F(PretrainedT5Test, AWeightThatIsNotFiniteIsDataLoss) {
  const absl::Status status =
      Read({}, {{"shared.weight", Matrix(1)}, {"encoder.final_layer_norm.weight", Matrix(NAN)}})
          .status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("encoder.final_layer_norm.weight"), HasSubstr(folder_.path())));
}

TEST(PretrainedRobertaTest, LeavesOutWhatASequenceClassifierDoesNotUse) {
  testing::TempFolder folder;
  ASSERT_TRUE(WriteFileSynced(folder / "config.json", R"({"model_type": "roberta"})").ok());
  ASSERT_TRUE(WriteSafetensors(folder / "model.safetensors",
                               {{"roberta.embeddings.position_ids", Matrix(1)},
                                {"roberta.pooler.dense.weight", Matrix(NAN)},
                                {"lm_head.decoder.bias", Matrix(1)},
                                {"lm_head.surplus", Matrix(1)},
                                {"classifier.dense.bias", Matrix(1)}})
                  .ok());
  const auto model = ReadPretrainedRoberta(folder.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(model->tensors, ElementsAre(Key("classifier.dense.bias"), Key("lm_head.surplus")));
}

}  // namespace pretrained_test
}  // namespace mellow::nn
