// The three that split a file by train_fraction and split_seed must agree: what a run or a
// fine-tuning trains on is never what an evaluation measures.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

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
namespace held_out_rows_test {

using ::testing::IsEmpty;
using ::testing::Not;
using Texts = std::set<std::string>;

class HeldOutRowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = text::LoadTokenizer(SourceTree("/deploy/models/mini-summarizer"));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    // Every dialogue twice, far apart, with different summaries.
    std::ofstream file(path_);
    for (int i = 0; i < 2 * kDialogues; ++i) {
      file << absl::StrCat(R"({"dialogue": "Where is parcel )", i % kDialogues,
                           R"(?", "summary": "Parcel )", i, R"("})", "\n");
    }
  }

  template <typename Spec>
  Spec Parse(std::string json) {
    Spec spec;
    json = absl::StrReplaceAll(json, {{"PATH", path_}});
    const auto status = google::protobuf::util::JsonStringToMessage(json, &spec);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return spec;
  }
  std::string Decode(const std::vector<int32_t>& ids) { return *tokenizer_->Decode(ids, true); }

  Texts OfRun(const std::string& data) {
    const auto config = orchestrator::RunConfigFromProto(Parse<orchestrator::v1::RunSpec>(
        absl::StrCat(R"({"steps": 1, "data": {"path": "PATH", "promptTemplate": "{dialogue}", )",
                     data, "}}")));
    EXPECT_TRUE(config.ok()) << config.status();
    const auto source = orchestrator::OpenPromptSource(*config, tokenizer_.get());
    EXPECT_TRUE(source.ok()) << source.status();
    Texts texts;  // enough draws for an epoch of the whole file
    for (uint64_t i = 0; i < 2 * kDialogues; ++i) texts.insert(Decode((*source)->Draw(i)->ids));
    return texts;
  }

  Texts OfFineTuning(const std::string& data) {
    learner::v1::StartSftRequest request;
    request.set_run_id("r");
    *request.mutable_spec() = Parse<learner::v1::SftSpec>(
        absl::StrCat(R"({"data": {"path": "PATH", "promptTemplate": "{dialogue}", )", data, "}}"));
    const auto settings = learner::FromProto(request);
    EXPECT_TRUE(settings.ok()) << settings.status();
    const auto pairs = learner::LoadSftData(settings->plan.data, /*seed=*/1, *tokenizer_);
    EXPECT_TRUE(pairs.ok()) << pairs.status();
    Texts texts;
    for (const sft::Pair& pair : pairs->train) texts.insert(Decode(pair.source_ids));
    return texts;
  }

  Texts OfEvaluation(const std::string& data) {
    const auto spec = Parse<evaluation::v1::EvaluationSpec>(
        absl::StrCat(R"({"arms": ["base", "newest"], "data": {"path": "PATH", )", data, "}}"));
    auto config = cli::ConfigOf(spec);
    EXPECT_TRUE(config.ok()) << config.status();
    const auto prompts = cli::ReadEvaluationPrompts(spec, *tokenizer_, /*node_tokens=*/0, &*config);
    EXPECT_TRUE(prompts.ok()) << prompts.status();
    Texts texts;
    for (const cli::EvaluationPrompt& prompt : *prompts)
      texts.insert(Decode(*tokenizer_->Encode(prompt.row.dialogue)));
    return texts;
  }

  static constexpr int kDialogues = 60;
  testing::TempFolder folder_;
  const std::string path_ = folder_ / "data.jsonl";
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

Texts Shared(const Texts& a, const Texts& b) {
  Texts both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

TEST_F(HeldOutRowsTest, AnEvaluationSharesNoRowWithTraining) {
  const std::string split = R"("trainFraction": 0.6, "splitSeed": 11)";
  const Texts run = OfRun(split);
  const Texts held_out = OfEvaluation(split);
  EXPECT_EQ(OfFineTuning(split), run);
  EXPECT_THAT(held_out, Not(IsEmpty()));
  EXPECT_THAT(Shared(run, held_out), IsEmpty());
  EXPECT_EQ(run.size() + held_out.size(), static_cast<size_t>(kDialogues));
}

TEST_F(HeldOutRowsTest, FiltersDoNotMoveRowsToTheOtherSide) {
  const std::string split = R"("trainFraction": 0.6, "splitSeed": 11)";
  const Texts held_out = OfEvaluation(split);
  const std::string filtered = absl::StrCat(split, R"(, "minChars": 18)");  // two digits
  EXPECT_THAT(Shared(OfRun(filtered), held_out), IsEmpty());
  EXPECT_THAT(Shared(OfFineTuning(filtered), held_out), IsEmpty());
  EXPECT_LT(OfRun(filtered).size(), OfRun(split).size());
}

TEST_F(HeldOutRowsTest, OtherSeedsHoldOutOtherRows) {
  EXPECT_NE(OfEvaluation(R"("trainFraction": 0.6, "splitSeed": 11)"),
            OfEvaluation(R"("trainFraction": 0.6, "splitSeed": 12)"));
}

}  // namespace held_out_rows_test
}  // namespace mellow
