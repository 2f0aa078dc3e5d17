#include "services/cli/files/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "services/cli/files/evaluation_file.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using evaluation::v1::EvaluationSpec;
using orchestrator::v1::RunSpec;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

std::string WriteRunFile(const testing::TempFolder& folder, const std::string& json) {
  const std::string path = folder.path() + "/my-run.json";
  EXPECT_TRUE(WriteFileAtomic(path, json).ok());
  return path;
}

TEST(RunFileTest, PathsAreRelativeToTheFileAndTheNameIsTheFiles) {
  const testing::TempFolder folder;
  const std::string path = WriteRunFile(
      folder,
      R"({"steps": 3, "data": {"path": "data/a.jsonl"}, "ppo": {"value_head_file": "../v.safetensors"}})");
  const auto spec = LoadRunFile(path, {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->data().path(), folder.path() + "/data/a.jsonl");
  EXPECT_EQ(spec->name(), "my-run");
  EXPECT_EQ(spec->steps(), 3);
  EXPECT_FALSE(spec->has_start_adapter());
}

TEST(RunFileTest, OverriddenPathsAreRelativeToTheCurrentFolder) {
  const testing::TempFolder folder;
  const std::string path = WriteRunFile(folder, R"({"steps": 3, "data": {"path": "a.jsonl"}})");
  const auto spec = LoadRunFile(path, {"data.path=b.jsonl"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->data().path().front(), '/');
  EXPECT_NE(spec->data().path(), folder.path() + "/b.jsonl");
}

TEST(RunFileTest, AnUnknownFieldIsNamedWithItsFile) {
  const testing::TempFolder folder;
  const std::string path = WriteRunFile(folder, R"({"steps": 3, "ppo": {"learnin_rate": 1}})");
  const absl::Status status = LoadRunFile(path, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("learnin_rate"));
  EXPECT_THAT(Message(status), HasSubstr("my-run.json"));
}

TEST(RunFileTest, WhatIsNotJsonIsAnError) {
  const testing::TempFolder folder;
  EXPECT_EQ(LoadRunFile(WriteRunFile(folder, "{"), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadRunFile(folder.path() + "/none.json", {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(SftRunFileTest, TheCommittedFilesAreRead) {
  const auto mini = LoadSftRunFile(SourceTree("/deploy/runs/mini-sft.json"), {});
  ASSERT_TRUE(mini.ok()) << mini.status();
  EXPECT_THAT(mini->sft().data().path(), EndsWith("/deploy/runs/mini/train.jsonl"));
  EXPECT_TRUE(ReadFile(mini->sft().data().path()).ok());
  EXPECT_EQ(mini->name(), "mini-sft");
  const auto base = LoadSftRunFile(SourceTree("/deploy/runs/dialogsum-flan-t5-base-sft.json"), {});
  ASSERT_TRUE(base.ok()) << base.status();
  EXPECT_EQ(base->sft().lora().r(), 32);
  EXPECT_EQ(base->sft().lora().lora_alpha(), 32);
  EXPECT_EQ(base->sft().lora().lora_dropout(), 0.05);
  EXPECT_EQ(base->sft().optimizer().learning_rate(), 1e-3);
}

TEST(SftRunFileTest, OverridesTakeBothSpellingsAndUnknownFieldsAreNamed) {
  const testing::TempFolder folder;
  const std::string path =
      WriteRunFile(folder, R"({"data": {"path": "a.csv", "dev_path": "b.csv"}, "epochs": 2})");
  const auto spec =
      LoadSftRunFile(path, {"batchSize=3", "optimizer.learning_rate=0.5", "start_adapter=/x"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->sft().batch_size(), 3);
  EXPECT_EQ(spec->sft().optimizer().learning_rate(), 0.5);
  EXPECT_EQ(spec->sft().start_adapter(), "/x");
  EXPECT_EQ(spec->sft().data().path(), folder.path() + "/a.csv");
  EXPECT_EQ(spec->sft().data().dev_path(), folder.path() + "/b.csv");
  EXPECT_EQ(spec->name(), "my-run");
  EXPECT_EQ(spec->sft().name(), "my-run");
  EXPECT_THAT(Message(LoadSftRunFile(path, {"epoch=1"}).status()), HasSubstr("epoch"));
  const auto unknown = LoadSftRunFile(WriteRunFile(folder, R"({"dat": {}})"), {});
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(unknown.status()), HasSubstr("dat"));
  EXPECT_THAT(Message(unknown.status()), HasSubstr(path));
}

TEST(SftRunFileTest, ARunFileWithThisMethodIsReadUnderBothNames) {
  const testing::TempFolder folder;
  const std::string path = WriteRunFile(
      folder, R"({"name": "pairs", "sft": {"data": {"path": "a.csv"}, "batch_size": 3}})");
  for (auto* load : {LoadRunFile, LoadSftRunFile}) {
    const auto spec = load(path, {"sft.epochs=2"});
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->method_case(), RunSpec::kSft);
    EXPECT_EQ(spec->sft().data().path(), folder.path() + "/a.csv");
    EXPECT_EQ(spec->sft().epochs(), 2);
    EXPECT_EQ(spec->sft().name(), "pairs");
  }
}

TEST(SftRunFileTest, TrainSaysWhatToDoWithTheSettingsAlone) {
  const absl::Status status = LoadRunFile(SourceTree("/deploy/runs/mini-sft.json"), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("mini-sft.json"));
  EXPECT_THAT(Message(status), HasSubstr("mellow sft"));
  EXPECT_THAT(Message(status), HasSubstr("\"sft\": {"));
}

TEST(SetFieldTest, SetsFieldsOfEveryTypeAtEveryDepth) {
  RunSpec spec;
  for (const char* assignment :
       {"steps=7", "seed=4294967295", "ppo.learning_rate=1e-3", "ppo.adap_kl_ctrl=false",
        "reward.label=hate", "ppo.lora.r=4", "ppo.lora.target_modules=q,v",
        "generation.sampling.seed=18446744073709551615", "reward.text_template=a=b"}) {
    EXPECT_TRUE(SetField(assignment, &spec).ok()) << assignment;
  }
  EXPECT_EQ(spec.steps(), 7);
  EXPECT_EQ(spec.seed(), 4294967295U);
  EXPECT_EQ(spec.ppo().learning_rate(), 1e-3);
  EXPECT_TRUE(spec.ppo().has_adap_kl_ctrl());
  EXPECT_FALSE(spec.ppo().adap_kl_ctrl());
  EXPECT_EQ(spec.reward().label(), "hate");
  EXPECT_EQ(spec.ppo().lora().r(), 4);
  EXPECT_THAT(spec.ppo().lora().target_modules(), ElementsAre("q", "v"));
  EXPECT_EQ(spec.generation().sampling().seed(), 18446744073709551615U);
  EXPECT_EQ(spec.reward().text_template(), "a=b");
}

TEST(SetFieldTest, AListIsReplacedAndAGroupCanBeTakenOut) {
  RunSpec spec;
  ASSERT_TRUE(SetField("ppo.lora.target_modules=q,k", &spec).ok());
  ASSERT_TRUE(SetField("ppo.lora.target_modules=v", &spec).ok());
  EXPECT_THAT(spec.ppo().lora().target_modules(), ElementsAre("v"));
  ASSERT_TRUE(SetField("ppo.lora=", &spec).ok());
  EXPECT_FALSE(spec.ppo().has_lora());
}

TEST(SetFieldTest, AnEmptyValueClearsAnyField) {
  RunSpec spec;
  spec.set_steps(3);
  spec.mutable_ppo()->set_adap_kl_ctrl(false);
  spec.mutable_reward()->set_label("hate");
  for (const char* assignment : {"steps=", "ppo.adap_kl_ctrl=", "reward.label="})
    EXPECT_TRUE(SetField(assignment, &spec).ok()) << assignment;
  EXPECT_EQ(spec.steps(), 0);
  EXPECT_FALSE(spec.ppo().has_adap_kl_ctrl());
  EXPECT_EQ(spec.reward().label(), "");
}

TEST(SetFieldTest, TwoQuotesAreAnEmptyTextThatIsSet) {
  RunSpec spec;
  ASSERT_TRUE(SetField("data.filter_column=\"\"", &spec).ok());
  EXPECT_TRUE(spec.data().has_filter_column());
  EXPECT_EQ(spec.data().filter_column(), "");
}

TEST(SpecFromJsonTest, AnUnknownFieldHasItsPathAndTheNearestName) {
  RunSpec spec;
  const auto error = [&spec](const char* json) { return Message(SpecFromJson(json, &spec)); };
  EXPECT_EQ(error(R"({"ppo": {"learnin_rate": 1}})"),
            "ppo.learnin_rate: no such field (did you mean \"learning_rate\"?)");
  EXPECT_EQ(error(R"({"stepss": 1})"), "stepss: no such field (did you mean \"steps\"?)");
  EXPECT_EQ(error(R"({"nothing_like_it": 1})"), "nothing_like_it: no such field");
  EXPECT_EQ(error(R"({"data": {"paths": null}})"),
            "data.paths: no such field (did you mean \"path\"?)");
  EXPECT_EQ(error(R"({"nothing_like_it": {}})"), "nothing_like_it: no such field");
  EXPECT_TRUE(SpecFromJson(R"({"ppo": {"learningRate": 1, "mini_batch_size": 2}})", &spec).ok());
  EXPECT_THAT(error(R"({"steps": [1]})"), HasSubstr("steps"));
}

TEST(SftRunFileTest, ATypingErrorInsideSftIsTold) {
  const testing::TempFolder folder;
  const auto spec = LoadSftRunFile(WriteRunFile(folder, R"({"sft": {"epoch": 1}})"), {});
  EXPECT_THAT(Message(spec.status()),
              HasSubstr("sft.epoch: no such field (did you mean \"epochs\"?)"));
}

TEST(SetFieldTest, ErrorsNameFieldAndValue) {
  RunSpec spec;
  EXPECT_THAT(Message(SetField("ppo.learnin_rate=1", &spec)),
              HasSubstr("(did you mean \"learning_rate\"?)"));
  EXPECT_THAT(Message(SetField("ppo.learnin_rate=1", &spec)), HasSubstr("learnin_rate"));
  EXPECT_THAT(Message(SetField("ppo.learnin_rate=1", &spec)),
              HasSubstr("learning_rate"));  // what there is
  EXPECT_THAT(Message(SetField("steps=three", &spec)), HasSubstr("'three'"));
  EXPECT_THAT(Message(SetField("steps=3.5", &spec)), HasSubstr("whole number"));
  EXPECT_THAT(Message(SetField("steps=99999999999", &spec)), HasSubstr("99999999999"));
  EXPECT_THAT(Message(SetField("seed=-1", &spec)), HasSubstr("'-1'"));
  EXPECT_THAT(Message(SetField("ppo.trl_compat=yes", &spec)), HasSubstr("true or false"));
  EXPECT_THAT(Message(SetField("ppo=1", &spec)), HasSubstr("set one of its fields"));
  EXPECT_THAT(Message(SetField("steps.x=1", &spec)), HasSubstr("'steps' has no fields"));
  EXPECT_THAT(Message(SetField("steps", &spec)), HasSubstr("FIELD=VALUE"));
}

// Every field, those inside it, and what stands behind it where it has no fields.
template <typename Spec>
void SetEveryField(const google::protobuf::Descriptor& type, const std::string& prefix) {
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    const std::string path = prefix + field.name();
    const bool message = field.message_type() != nullptr;
    for (const absl::string_view inside : {"", ".0", ".0.name", ".name"}) {
      Spec spec;
      const absl::Status status = SetField(absl::StrCat(path, inside, "=x"), &spec);
      if (message && field.is_repeated()) {
        EXPECT_THAT(Message(status), HasSubstr("is a list of objects: write it in the file"))
            << path;
      } else if (message && inside.empty()) {
        EXPECT_THAT(Message(status), HasSubstr("set one of its fields")) << path;
      } else if (field.enum_type() != nullptr && inside.empty()) {
        EXPECT_THAT(Message(status), HasSubstr("'x' is not one of ")) << path;
      }
    }
    Spec spec;
    EXPECT_TRUE(SetField(path + "=", &spec).ok()) << path;
    if (message && !field.is_repeated()) SetEveryField<Spec>(*field.message_type(), path + ".");
  }
}

TEST(SetFieldTest, NoFieldOfAnySpecIsMoreThanAnError) {
  SetEveryField<RunSpec>(*RunSpec::descriptor(), "");
  SetEveryField<learner::v1::SftSpec>(*learner::v1::SftSpec::descriptor(), "");
  SetEveryField<EvaluationSpec>(*EvaluationSpec::descriptor(), "");
  EvaluationSpec spec;
  EXPECT_TRUE(SetField("sampling.early_stopping=EARLY_STOPPING_NEVER", &spec).ok());
  EXPECT_EQ(spec.sampling().early_stopping(), policy::v1::EARLY_STOPPING_NEVER);
  spec.add_judges();
  EXPECT_TRUE(SetField("judges=", &spec).ok());
  EXPECT_TRUE(spec.judges().empty());
}

}  // namespace
}  // namespace mellow::cli
