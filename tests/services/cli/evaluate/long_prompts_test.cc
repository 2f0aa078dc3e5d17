// A run, a fine-tuning and an evaluation make the same ids of the same long dialogue.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/evaluate/evaluation_plan.h"
#include "services/learner/rpc/sft_proto_convert.h"
#include "services/learner/sft/sft_data.h"
#include "services/orchestrator/clients/proto_convert.h"
#include "services/orchestrator/rollouts/prompt_source.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow {
namespace long_prompts_test {

using Ids = std::vector<int32_t>;

class LongPromptsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = text::LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    std::string dialogue;
    for (int i = 0; i < 200; ++i) absl::StrAppend(&dialogue, "Anna: Where is parcel ", i, "? ");
    std::ofstream(path_) << absl::StrCat(R"({"dialogue": ")", dialogue, R"(", "summary": "s"})",
                                         "\n");
    whole_ = *tokenizer_->Encode(absl::StrCat("Summarize: ", dialogue, "\nSummary:\n"));
  }

  // `limit`: of the file, or nothing.
  template <typename Spec>
  Spec Parse(absl::string_view rest, absl::string_view limit) {
    Spec spec;
    const std::string json = absl::StrReplaceAll(
        absl::StrCat(
            R"({"data": {"path": "PATH", "promptTemplate": "Summarize: {dialogue}\nSummary:\n")",
            limit, "}", rest, "}"),
        {{"PATH", path_}});
    const auto status = google::protobuf::util::JsonStringToMessage(json, &spec);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return spec;
  }
  Ids OfRun(absl::string_view limit) {
    const auto config = orchestrator::RunConfigFromProto(
        Parse<orchestrator::v1::RunSpec>(R"(, "steps": 1)", limit));
    EXPECT_TRUE(config.ok()) << config.status();
    const auto source = orchestrator::OpenPromptSource(*config, tokenizer_.get());
    EXPECT_TRUE(source.ok()) << source.status();
    return (*source)->Draw(0)->ids;
  }
  learner::SftData OfFineTuning(absl::string_view limit) {
    learner::v1::StartSftRequest request;
    request.set_run_id("r");
    *request.mutable_spec() = Parse<learner::v1::SftSpec>("", limit);
    const auto settings = learner::FromProto(request);
    EXPECT_TRUE(settings.ok()) << settings.status();
    auto data = learner::LoadSftData(settings->plan.data, /*seed=*/1, *tokenizer_);
    EXPECT_TRUE(data.ok()) << data.status();
    return *std::move(data);
  }
  cli::EvaluationPrompt OfEvaluation(absl::string_view limit, int node_tokens) {
    const auto spec =
        Parse<evaluation::v1::EvaluationSpec>(R"(, "arms": ["base", "newest"])", limit);
    auto config = cli::ConfigOf(spec);
    EXPECT_TRUE(config.ok()) << config.status();
    const auto prompts = cli::ReadEvaluationPrompts(spec, *tokenizer_, node_tokens, &*config);
    EXPECT_TRUE(prompts.ok()) << prompts.status();
    return (*prompts)[0];
  }

  testing::TempFolder folder_;
  const std::string path_ = folder_ / "data.jsonl";
  std::unique_ptr<text::Tokenizer> tokenizer_;
  Ids whole_;
};

TEST_F(LongPromptsTest, AreReadWholeUnlessTheFileSaysOtherwise) {
  ASSERT_GT(whole_.size(), 1000u);
  EXPECT_EQ(OfRun(""), whole_);
  const learner::SftData data = OfFineTuning("");
  EXPECT_EQ(data.train[0].source_ids, whole_);
  EXPECT_EQ(data.truncated_sources, 0);
  const cli::EvaluationPrompt prompt = OfEvaluation("", /*node_tokens=*/0);
  EXPECT_EQ(prompt.source_ids, whole_);
  EXPECT_EQ(prompt.row.truncated, false);
}

TEST_F(LongPromptsTest, LoseTheEndOfTheDialogueAndKeepThatOfTheTemplate) {
  const std::string limit = R"(, "maxSourceTokens": 600)";
  const Ids ids = OfRun(limit);
  EXPECT_LE(ids.size(), 600u);
  EXPECT_GT(ids.size(), 595u);
  std::string text = *tokenizer_->Decode(ids, /*skip_special_tokens=*/true);
  absl::StripTrailingAsciiWhitespace(&text);
  EXPECT_THAT(text, ::testing::StartsWith("Summarize: Anna: Where is parcel 0?"));
  EXPECT_THAT(text, ::testing::EndsWith("Summary:"));
  const learner::SftData data = OfFineTuning(limit);
  EXPECT_EQ(data.train[0].source_ids, ids);
  EXPECT_EQ(data.truncated_sources, 1);
  for (const cli::EvaluationPrompt& prompt :
       {OfEvaluation(limit, /*node_tokens=*/0), OfEvaluation("", /*node_tokens=*/600),
        OfEvaluation(limit, /*node_tokens=*/9000)}) {
    EXPECT_EQ(prompt.source_ids, ids);
    EXPECT_EQ(prompt.row.truncated, true);
    EXPECT_EQ(prompt.row.prompt_tokens, static_cast<int32_t>(ids.size()));
    EXPECT_EQ(prompt.row.uncut_prompt_tokens, static_cast<int32_t>(whole_.size()));
  }
}

}  // namespace long_prompts_test
}  // namespace mellow
