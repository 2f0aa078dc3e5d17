#include "services/cli/files/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::RunSpec;
using ::testing::ElementsAre;
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

TEST(SetFieldTest, ErrorsNameFieldAndValue) {
  RunSpec spec;
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

}  // namespace
}  // namespace mellow::cli
