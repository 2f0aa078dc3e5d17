#include "services/learner/sft/sft_plan.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "services/learner/rpc/sft_proto_convert.h"

namespace mellow::learner {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<SftSettings> Parse(const std::string& json) {
  v1::StartSftRequest request;
  request.set_run_id("run");
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, request.mutable_spec()).ok())
      << json;
  return FromProto(request);
}

TEST(SftPlanTest, AnEmptySpecHasTheDocumentedDefaults) {
  const auto settings = Parse(R"({"data": {"path": "/x.csv"}})");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const SftPlan& plan = settings->plan;
  EXPECT_THAT(plan.data.prompt_template, HasSubstr("{dialogue}"));
  EXPECT_EQ(plan.data.summary_column, "summary");
  EXPECT_FALSE(plan.data.max_source_tokens.has_value());
  EXPECT_EQ(plan.data.max_target_tokens, 128);
  EXPECT_EQ(plan.trainer.batch_size, 8);
  EXPECT_EQ(plan.trainer.learning_rate, 1e-3);
  EXPECT_EQ(plan.trainer.max_grad_norm, 1);
  EXPECT_EQ(plan.trainer.label_smoothing, 0);
  EXPECT_FALSE(plan.trainer.model_dropout.has_value());
  const auto length = LengthOf(plan, 10);
  ASSERT_TRUE(length.ok());
  EXPECT_EQ(length->total_steps, 30);
  EXPECT_EQ(length->warmup_steps, 0);
  EXPECT_EQ(length->eval_every, 10);
  EXPECT_EQ(length->checkpoint_every, 10);
}

TEST(SftPlanTest, EveryFieldArrives) {
  const auto settings = Parse(R"({
    "data": {"path": "/x", "dialogueColumn": "talk", "summary_column": "gist", "prompt_template": "S: {dialogue}", "min_chars": 1,
             "max_chars": 9, "train_fraction": 0.5, "dev_path": "/d", "max_dev_rows": 4, "max_source_tokens": 7, "max_target_tokens": 8,
             "split_seed": 6, "split_column": "c"},
    "lora": {"r": 3, "lora_alpha": 6, "lora_dropout": 0.2, "target_modules": ["k"]},
    "optimizer": {"learning_rate": 0.5, "weight_decay": 0.1, "adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-7, "max_grad_norm": 2},
    "schedule": {"warmup_ratio": 0.25}, "batch_size": 2, "gradient_accumulation_steps": 3, "max_steps": 9, "eval_every": 2,
    "checkpoint_every": 1, "seed": 5, "precision": "float32", "label_smoothing": 0.1, "model_dropout": 0.3})");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const SftPlan& plan = settings->plan;
  EXPECT_EQ(plan.data.prompt_template, "S: {talk}");
  EXPECT_EQ(plan.data.filter_column, "talk");
  EXPECT_EQ(plan.data.summary_column, "gist");
  EXPECT_EQ(plan.data.min_chars, 1);
  EXPECT_EQ(plan.data.max_chars, 9);
  EXPECT_EQ(plan.data.split.train_fraction, 0.5);
  EXPECT_EQ(plan.data.split.seed, 6u);
  EXPECT_EQ(plan.data.split.column, "c");
  EXPECT_EQ(plan.data.dev_path, "/d");
  EXPECT_EQ(plan.data.max_dev_rows, 4);
  EXPECT_EQ(plan.data.max_source_tokens, 7);
  EXPECT_EQ(plan.data.max_target_tokens, 8);
  EXPECT_EQ(plan.trainer.lora.r, 3);
  EXPECT_EQ(plan.trainer.lora.lora_alpha, 6);
  EXPECT_EQ(plan.trainer.lora.lora_dropout, 0.2);
  EXPECT_EQ(plan.trainer.lora.target_modules, std::vector<std::string>{"k"});
  EXPECT_EQ(plan.trainer.learning_rate, 0.5);
  EXPECT_EQ(plan.trainer.weight_decay, 0.1);
  EXPECT_EQ(plan.trainer.adam_beta1, 0.8);
  EXPECT_EQ(plan.trainer.adam_beta2, 0.9);
  EXPECT_EQ(plan.trainer.adam_epsilon, 1e-7);
  EXPECT_EQ(plan.trainer.max_grad_norm, 2);
  EXPECT_EQ(plan.trainer.seed, 5u);
  EXPECT_EQ(plan.trainer.label_smoothing, 0.1);
  EXPECT_EQ(plan.trainer.model_dropout, 0.3);
  EXPECT_EQ(plan.pairs_per_step(), 6);
  const auto length = LengthOf(plan, 4);
  ASSERT_TRUE(length.ok());
  EXPECT_EQ(length->total_steps, 9);
  EXPECT_EQ(length->warmup_steps, 3) << "rounded up";
  EXPECT_EQ(length->eval_every, 2);
  EXPECT_EQ(length->checkpoint_every, 1);
}

TEST(SftPlanTest, ErrorsNameFieldAndValue) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({})", "data.path"},
      {R"({"data": {"path": "x", "train_fraction": 0}})", "data.train_fraction: 0"},
      {R"({"data": {"path": "x", "split_seed": 3}})", "data.split_seed: 3"},
      {R"({"data": {"path": "x", "dev_fraction": 1}})", "data.dev_fraction: 1"},
      {R"({"data": {"path": "x", "dev_fraction": 0.1, "dev_path": "y"}})", "give one of the two"},
      {R"({"data": {"path": "x", "max_dev_rows": 0}})", "data.max_dev_rows: 0"},
      {R"({"data": {"path": "x", "max_source_tokens": 1}})", "data.max_source_tokens: 1"},
      {R"({"data": {"path": "x", "max_target_tokens": 0}})", "data.max_target_tokens: 0"},
      {R"({"data": {"path": "x"}, "epochs": 1, "max_steps": 2})", "epochs and max_steps"},
      {R"({"data": {"path": "x"}, "epochs": "NaN"})", "epochs: nan"},
      {R"({"data": {"path": "x"}, "max_steps": 0})", "max_steps: 0"},
      {R"({"data": {"path": "x"}, "eval_every": -1})", "eval_every: -1"},
      {R"({"data": {"path": "x"}, "checkpoint_every": 0})", "checkpoint_every: 0"},
      {R"({"data": {"path": "x"}, "schedule": {"warmup_steps": 1, "warmup_ratio": 0.1}})",
       "schedule.warmup_steps and"},
      {R"({"data": {"path": "x"}, "schedule": {"warmup_ratio": 1.5}})",
       "schedule.warmup_ratio: 1.5"},
      {R"({"data": {"path": "x"}, "gradient_accumulation_steps": 0})",
       "gradient_accumulation_steps: 0"},
      {R"({"data": {"path": "x"}, "batch_size": 0})", "batch_size: 0"},
      {R"({"data": {"path": "x"}, "precision": "int8"})", "precision: \"int8\""},
      {R"({"data": {"path": "x"}, "start_adapter": "/a", "lora": {"r": 4}})",
       "lora: not together with start_adapter"},
      {R"({"data": {"path": "x"}, "lora": {"r": 0}})", "lora.r: 0"},
  };
  for (const auto& [json, message] : bad) {
    const auto settings = Parse(json);
    EXPECT_TRUE(absl::IsInvalidArgument(settings.status())) << json;
    EXPECT_THAT(std::string(settings.status().message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace mellow::learner
