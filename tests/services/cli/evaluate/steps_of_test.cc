#include "services/cli/evaluate/steps_of.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/eval/analysis.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace steps_of_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

KeptAdapters MakeKept() {
  KeptAdapters kept;
  orchestrator::v1::Run& run = kept.runs.emplace_back();
  run.set_run_id("run-1");
  run.mutable_spec()->set_name("mini");
  run.set_committed_steps(11);
  for (int step = 0; step <= 11; ++step) {
    orchestrator::v1::KeptAdapter& adapter = kept.adapters.emplace_back();
    adapter.set_run_id("run-1");
    adapter.set_step(step);
    adapter.set_has_files(step != 6);
    adapter.mutable_adapter()->set_sha256(absl::StrCat("sha256-", step));
  }
  return kept;
}

TEST(ArmsOfStepsTest, AreThoseThatTheNumberDividesAndTheNewest) {
  EXPECT_THAT(*ArmsOfSteps(MakeKept(), "mini", 3, ""),
              ElementsAre("run-1@3", "run-1@9", "run-1@11"));
  EXPECT_EQ(ArmsOfSteps(MakeKept(), "newest", 1, "")->size(), 10u);
  EXPECT_TRUE(absl::IsNotFound(ArmsOfSteps(MakeKept(), "x", 1, "").status()));
  KeptAdapters none = MakeKept();
  none.adapters.clear();
  EXPECT_TRUE(absl::IsFailedPrecondition(ArmsOfSteps(none, "mini", 1, "").status()));
  none.runs[0].mutable_spec()->mutable_sft();
  EXPECT_TRUE(absl::IsInvalidArgument(ArmsOfSteps(none, "mini", 1, "").status()));
}

TEST(ArmsOfStepsTest, WhatHasTheWeightsOfAnotherArmIsNone) {
  KeptAdapters kept = MakeKept();
  kept.adapters[3].mutable_adapter()->set_sha256("sha256-2");
  EXPECT_THAT(*ArmsOfSteps(kept, "mini", 1, "sha256-5"),
              ElementsAre("run-1@1", "run-1@2", "run-1@4", "run-1@7", "run-1@8", "run-1@9",
                          "run-1@10", "run-1@11"));
}

TEST(CorrectForChoosingTest, IsBonferronisWithDrawsEnough) {
  eval::EvaluationConfig config{.resamples = 10000, .permutations = 10000};
  CorrectForChoosing(50, &config);
  EXPECT_DOUBLE_EQ(config.confidence, 0.999);
  EXPECT_DOUBLE_EQ(config.alpha, 0.001);
  EXPECT_EQ(config.resamples, 20000);
  EXPECT_EQ(config.permutations, 10000);
  eval::EvaluationConfig one{.resamples = 10000, .permutations = 10000};
  CorrectForChoosing(1, &one);
  EXPECT_DOUBLE_EQ(one.confidence, 0.95);
  EXPECT_EQ(one.resamples, 10000);
}

// Whose toxicity is its own.
class FakeArm : public ArmEngine {
 public:
  FakeArm(std::string text, int* calls) : text_(std::move(text)), calls_(calls) {}
  absl::StatusOr<std::vector<WrittenSummary>> Write(
      absl::Span<const SummaryRequest> requests) override {
    std::vector<WrittenSummary> written;
    for (const SummaryRequest& request : requests) {
      ++*calls_;
      // One word more for every other prompt: differences have a spread.
      written.push_back(
          {absl::StrCat(text_, request.prompt_index % 2 == 0 ? " x" : ""), {1}, {-1.0f}, false});
    }
    return written;
  }

 private:
  const std::string text_;
  int* const calls_;
};

class FakeBaseModel : public BaseModel {
 public:
  absl::StatusOr<std::vector<std::vector<float>>> Score(
      absl::Span<const PairToScore> pairs) override {
    return std::vector<std::vector<float>>(pairs.size(), {-1.0f});
  }
};

// Toxicity is the share of the words that are `word`.
class FakeJudge : public JudgeEngine {
 public:
  explicit FakeJudge(std::string word) : word_(std::move(word)) {}
  const eval::Judge& judge() const override { return judge_; }
  absl::StatusOr<std::vector<eval::JudgeScore>> Score(
      const std::vector<std::string>& texts) override {
    std::vector<eval::JudgeScore> scores;
    for (const std::string& text : texts) {
      const std::vector<std::string> words = absl::StrSplit(text, ' ');
      scores.push_back({static_cast<double>(std::count(words.begin(), words.end(), word_)) /
                            static_cast<double>(words.size()),
                        0});
    }
    return scores;
  }

 private:
  const std::string word_;
  const eval::Judge judge_{};
};

// A base model and three steps: the second is the least toxic that still says what it should; the
// third says nothing of it.
class StepsOfTest : public ::testing::Test {
 protected:
  std::unique_ptr<EvaluationSession> MakeSession() {
    auto session = std::make_unique<EvaluationSession>();
    eval::Evaluation& e = session->evaluation;
    e.config.prompts = 40;
    e.config.resamples = 1000;
    e.config.permutations = 1000;
    e.judges = {{.name = "reward", .label = "nothate", .toxic_label = "hate"}};
    e.scorings = {{"reward", eval::kSummaryScoring}};
    e.arms = {{.name = "base"},
              {.name = "run-1@1", .kind = "version", .version = 1, .sha256 = "a1"},
              {.name = "run-1@2", .kind = "version", .version = 2, .sha256 = "a2"},
              {.name = "run-1@3", .kind = "version", .version = 3, .sha256 = "a3"}};
    for (const char* text : {"the parcel bad bad", "the parcel bad", "the parcel", "nothing"})
      session->engines.arms.push_back(std::make_unique<FakeArm>(text, &calls_));
    session->engines.bare = std::make_unique<FakeBaseModel>();
    session->engines.judges.push_back(std::make_unique<FakeJudge>("bad"));
    for (int i = 0; i < 40; ++i) {
      EvaluationPrompt& prompt = session->prompts.emplace_back();
      prompt.row = {.index = i, .line = i + 1, .dialogue = absl::StrCat("A: ", i)};
      prompt.row.references = {"the parcel"};
      prompt.source_ids = {i, 1};
    }
    return session;
  }
  // What is found of the three steps once they are evaluated.
  static absl::StatusOr<StepFindings> ChooseOfThree(eval::Evaluation* evaluation) {
    CorrectForChoosing(3, &evaluation->config);
    if (absl::Status status = eval::Analyze(evaluation); !status.ok()) return status;
    return JudgeSteps(*evaluation, {.max_rouge_loss = 0.02, .champion_sha256 = ""});
  }
  testing::TempFolder folder_;
  int calls_ = 0;
};

TEST_F(StepsOfTest, FindsTheLeastToxicStepThatPassesTheGates) {
  const auto session = MakeSession();
  size_t rows = 0;
  ASSERT_TRUE(
      EvaluateArmByArm(
          session.get(), folder_.path(), false, [&](size_t n) { rows += n; }, [] { return false; })
          .ok());
  EXPECT_EQ(rows, 160u);
  eval::Evaluation& e = session->evaluation;
  ASSERT_EQ(e.rows.size(), 40u);
  ASSERT_EQ(e.rows[7].arms.size(), 4u);
  EXPECT_EQ(e.rows[7].arms[2].samples[0].summary, "the parcel");
  const auto findings = ChooseOfThree(&e);
  ASSERT_TRUE(findings.ok()) << findings.status();
  ASSERT_TRUE(findings->best.has_value());
  EXPECT_EQ(findings->steps[*findings->best].arm, "run-1@2");
  EXPECT_FALSE(findings->steps[2].holds) << "its ROUGE-L fell";
  const std::string text = StepsText(e, *findings, 0.95);
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    EXPECT_LT(line.size(), 80u) << line;
  EXPECT_THAT(text, HasSubstr("98.33 %"));
  EXPECT_THAT(text, HasSubstr("Bonferroni"));
  EXPECT_THAT(text, HasSubstr("hold  best"));
  EXPECT_THAT(text, HasSubstr("rougeL\n"));
  const std::string json = json::Write(StepsJson(e, *findings, 0.95));
  EXPECT_THAT(json, HasSubstr("\"best\":\"run-1@2\",\"correction\":\"bonferroni\""));
  EXPECT_THAT(json, HasSubstr("\"adapter\":\"run-1@1\",\"step\":1,"));
}

// The reward takes insults in other words for none, as the one that PPO learned to fool.
TEST_F(StepsOfTest, AnIndependentJudgeChoosesWhereThereIsOne) {
  const auto session = MakeSession();
  eval::Evaluation& e = session->evaluation;
  e.judges.push_back({.name = "second", .independent = true, .toxic_label = "hate"});
  e.scorings.push_back({"second", eval::kSummaryScoring});
  session->engines.judges.push_back(std::make_unique<FakeJudge>("rude"));
  session->engines.arms.clear();
  for (const char* text : {"the parcel bad bad rude rude", "the parcel rude rude",
                           "the parcel that is bad", "the parcel rude that is"})
    session->engines.arms.push_back(std::make_unique<FakeArm>(text, &calls_));
  ASSERT_TRUE(EvaluateArmByArm(
                  session.get(), folder_.path(), false, [](size_t) {}, [] { return false; })
                  .ok());
  const auto findings = ChooseOfThree(&e);
  ASSERT_TRUE(findings.ok()) << findings.status();
  ASSERT_TRUE(findings->best.has_value());
  EXPECT_EQ(findings->steps[*findings->best].arm, "run-1@2");
  EXPECT_FALSE(findings->steps[0].holds) << "the judge finds it more toxic";
  EXPECT_TRUE(findings->steps[2].holds) << "and to the reward it is the least toxic of all";
  const std::string text = StepsText(e, *findings, 0.95);
  EXPECT_THAT(absl::StrReplaceAll(text, {{"\n", " "}}),
              HasSubstr("(toxicity as the judge second sees it, "));
  EXPECT_THAT(text, HasSubstr("judge\n"));
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    EXPECT_LT(line.size(), 80u) << line;
  const std::string json = json::Write(StepsJson(e, *findings, 0.95));
  EXPECT_THAT(json, HasSubstr("\"judge\":\"second\""));
  EXPECT_THAT(json, HasSubstr("\"step\":2,\"toxicity\":0.0,"));
}

TEST_F(StepsOfTest, WhatWasEvaluatedServesAgainAlsoBesideOtherSteps) {
  auto session = MakeSession();
  session->evaluation.arms.resize(2);
  session->engines.arms.resize(2);
  const auto evaluate = [&](size_t most_rows) {
    size_t rows = 0;
    return EvaluateArmByArm(
        session.get(), folder_.path(), false, [&](size_t n) { rows += n; },
        [&, most_rows] { return rows >= most_rows; });
  };
  ASSERT_TRUE(evaluate(1000).ok());
  EXPECT_EQ(calls_, 80);
  session = MakeSession();
  EXPECT_TRUE(absl::IsCancelled(evaluate(100))) << "interrupted in the third arm";
  session = MakeSession();
  ASSERT_TRUE(evaluate(1000).ok());
  EXPECT_EQ(calls_, 160) << "nothing was written twice";
}

}  // namespace steps_of_test
}  // namespace mellow::cli
