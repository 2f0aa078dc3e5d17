#include "services/wire/ppo_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mellow::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  const absl::StatusOr<rl::PpoConfig> config = PpoConfigFromJson(text);
  EXPECT_TRUE(absl::IsInvalidArgument(config.status())) << text;
  return std::string(config.status().message());
}

TEST(PpoConfigTest, AnEmptyMessageGivesTrlsDefaults) {
  const absl::StatusOr<rl::PpoConfig> config = PpoConfigFromJson("{}");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(*config, rl::PpoConfig());
  EXPECT_EQ(config->learning_rate, 1.41e-5);
  EXPECT_EQ(config->reference, rl::Reference::kStart);
}

TEST(PpoConfigTest, ReadsBothSpellingsNullsAndIntegersInStrings) {
  const absl::StatusOr<rl::PpoConfig> c = PpoConfigFromJson(
      R"({"learningRate": 1e-3, "batch_size": 8, "miniBatchSize": 4, "seed": "7", "score_clip": null,
          "max_grad_norm": 1, "kl_penalty": "full", "reference": "base", "trlCompat": true,
          "lora": {"r": 4, "loraAlpha": 16, "target_modules": ["q"]}, "value_head_file": "x"})");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->learning_rate, 1e-3);
  EXPECT_EQ(c->mini_batch_size, 4);
  EXPECT_EQ(c->seed, 7u);
  EXPECT_FALSE(c->score_clip.has_value());
  EXPECT_EQ(c->max_grad_norm, 1.0);
  EXPECT_EQ(c->kl_penalty, rl::KlPenalty::kFull);
  EXPECT_EQ(c->reference, rl::Reference::kBase);
  EXPECT_TRUE(c->trl_compat);
  ASSERT_TRUE(c->lora.has_value());
  EXPECT_EQ(c->lora->r, 4);
  EXPECT_EQ(c->lora->lora_alpha, 16);
  EXPECT_THAT(c->lora->target_modules, ElementsAre("q"));
}

TEST(PpoConfigTest, NamesWhatIsWrong) {
  EXPECT_THAT(ErrorOf("{"), HasSubstr("the PPO configuration"));
  EXPECT_THAT(ErrorOf(R"({"learning_rat": 1})"), HasSubstr("learning_rat"));
  EXPECT_THAT(ErrorOf(R"({"lora": {"rank": 1}})"), HasSubstr("rank"));
  EXPECT_THAT(ErrorOf(R"({"learning_rate": "fast"})"), HasSubstr("learning_rate"));
  EXPECT_THAT(ErrorOf(R"({"batch_size": 1.5})"), HasSubstr("batch_size"));
  EXPECT_THAT(ErrorOf(R"({"seed": -1})"), HasSubstr("seed"));
  EXPECT_THAT(ErrorOf(R"({"kl_penalty": "kl2"})"), HasSubstr("kl_penalty: \"kl2\""));
  EXPECT_THAT(ErrorOf(R"({"learning_rate": "NaN"})"), HasSubstr("learning_rate: nan"));
  EXPECT_THAT(ErrorOf(R"({"lora": {"r": 0}})"), HasSubstr("lora.r: 0"));
}

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// A valid value that is no default.
void SetField(Message* message, const FieldDescriptor* field) {
  const auto* reflection = message->GetReflection();
  if (field->name() == "kl_penalty") return reflection->SetString(message, field, "mse");
  if (field->name() == "reference") return reflection->SetString(message, field, "base");
  if (field->name() == "precision") return reflection->SetString(message, field, "bf16");
  if (field->is_repeated()) return reflection->AddString(message, field, "k");
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->SetDouble(message, field, 0.625);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->SetInt32(message, field, field->name() == "batch_size" ? 512 : 2);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection->SetUInt32(message, field, 2);
    case FieldDescriptor::CPPTYPE_BOOL:
      // adap_kl_ctrl is the one that is on by default.
      return reflection->SetBool(message, field, field->name() != "adap_kl_ctrl");
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->SetString(message, field, "x");
    case FieldDescriptor::CPPTYPE_MESSAGE:
      reflection->MutableMessage(message, field);
      return;
    default:
      FAIL() << field->name() << " is of a type that this test does not know";
  }
}

TEST(PpoConfigTest, EveryFieldOfTheMessageArrives) {
  learner::v1::PpoConfig plain;
  plain.set_batch_size(256);  // a multiple also of accumulated mini-batches
  const auto* fields = learner::v1::PpoConfig::descriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    learner::v1::PpoConfig message = plain;
    SetField(&message, fields->field(i));
    const auto config = PpoConfigFromProto(message);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_FALSE(*config == *PpoConfigFromProto(plain)) << fields->field(i)->name();
  }
  learner::v1::PpoConfig with_lora;
  with_lora.mutable_lora();
  const auto* lora_fields = learner::v1::LoraSpec::descriptor();
  for (int i = 0; i < lora_fields->field_count(); ++i) {
    learner::v1::PpoConfig message = with_lora;
    SetField(message.mutable_lora(), lora_fields->field(i));
    const auto config = PpoConfigFromProto(message);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_FALSE(*config == *PpoConfigFromProto(with_lora)) << lora_fields->field(i)->name();
  }
}

}  // namespace
}  // namespace mellow::wire
