#include "services/cli/train/train_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/services/cli/train/memory_file.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

orchestrator::v1::Step MakeStep(int number) {
  orchestrator::v1::Step step;
  step.set_step(number);
  step.mutable_adapter()->set_version(number);
  step.mutable_adapter()->set_sha256("ab");
  step.set_objective_kl(0.1);
  step.set_returns_mean(-123456.7);
  step.set_advantages_mean(1e-9);
  step.set_score_mean(2.5);
  step.set_toxicity_mean(0.25);
  step.set_seconds(3);
  step.set_tokens_per_second(1234);
  return step;
}

// The counts of the notebook, in PEFT's words.
TEST(TableViewTest, ShowsDataAndParametersBeforeTheSteps) {
  Output out;
  const auto view = MakeTableView(out.file(), 10, /*live=*/false);
  view->ShowData("10 rows\n");
  orchestrator::v1::Run run;
  run.set_trainable_parameters(3539713);
  run.set_total_parameters(251117569);
  view->ShowStart(run);
  EXPECT_EQ(out.text(),
            "10 rows\n"
            "trainable params: 3,539,713 || all params: 251,117,569 || trainable%: 1.4096\n");
}

TEST(JsonViewTest, PrintsExactlyThePromisedFields) {
  Output out;
  const auto view = MakeJsonView(out.file());
  view->ShowData("10 rows\n");
  orchestrator::v1::Run run;
  run.set_trainable_parameters(3539713);
  run.set_total_parameters(251117569);
  view->ShowStart(run);
  view->ShowStep(MakeStep(1));
  view->ShowActivity("train");
  EXPECT_EQ(out.text(),
            "{\"step\":1,\"adapter\":{\"version\":1,\"sha256\":\"ab\"},\"objective_kl\":0.1,"
            "\"returns_mean\":-123456.7,\"advantages_mean\":1e-09,"
            "\"score_mean\":2.5,\"toxicity_mean\":0.25,\"seconds\":3.0}\n");
}

TEST(TrainViewTest, AStepThatTheGuardGaveUpSaysWhy) {
  orchestrator::v1::Step step = MakeStep(4);
  step.set_guard_trip(
      "guard.kl_max: the KL above that of step 1 is 49.5 over steps 3 to 4, the bound is 10; back "
      "to the weights of step 1");
  Output table;
  MakeTableView(table.file(), 10, /*live=*/false)->ShowStep(step);
  EXPECT_THAT(table.text(), HasSubstr("  taken back: guard.kl_max: the KL above that of step 1"));
  std::istringstream lines(table.text());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  Output json;
  MakeJsonView(json.file())->ShowStep(step);
  EXPECT_THAT(json.text(), HasSubstr("\"guard_trip\":\"guard.kl_max: "));
}

TEST(JsonViewTest, HasWhatTheJudgeOfARunSays) {
  orchestrator::v1::Step step = MakeStep(4);
  step.set_judge_score_mean(1.5);
  step.set_judge_gap(-0.25);
  Output json;
  MakeJsonView(json.file())->ShowStep(step);
  EXPECT_THAT(json.text(), HasSubstr(",\"judge_score_mean\":1.5,\"judge_gap\":-0.25}"));
}

TEST(JsonViewTest, EndsWithTheAdapterAndItsFolder) {
  Output out;
  orchestrator::v1::Run run;
  run.mutable_adapter()->set_version(3);
  run.mutable_adapter()->set_sha256("cd");
  run.set_adapter_path("/x");
  MakeJsonView(out.file())->ShowDone(run);
  EXPECT_EQ(out.text(),
            "{\"done\":true,\"adapter\":{\"version\":3,\"sha256\":\"cd\"},\"path\":\"/x\"}\n");
}

TEST(TableViewTest, EndsWithTheAdapterItsFolderAndItsHash) {
  Output out;
  orchestrator::v1::Run run;
  run.set_committed_steps(1);
  run.mutable_adapter()->set_version(3);
  run.mutable_adapter()->set_sha256("cd");
  run.set_adapter_path("/x");
  MakeTableView(out.file(), /*steps=*/1, /*live=*/false)->ShowDone(run);
  EXPECT_EQ(out.text(), "done: 1 step; adapter version 3\nadapter /x\nsha256  cd\n");
}

TEST(TableViewTest, LinesFitEightyColumnsAndPipesGetNoControlCharacters) {
  Output out;
  const auto view = MakeTableView(out.file(), /*steps=*/150, /*live=*/false);
  view->ShowActivity("generate 3/32");
  for (int i = 1; i <= 30; ++i) view->ShowStep(MakeStep(i));
  std::istringstream lines(out.text());
  int headers = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 80U) << line;
    headers += line.find("score") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(headers, 1);
  EXPECT_THAT(out.text(), Not(HasSubstr("\r")));
  EXPECT_THAT(out.text(), HasSubstr("6:00"));  // 120 steps of 3 s are left
}

TEST(TableViewTest, ATerminalSeesTheActivityAndTheHeaderAgain) {
  Output out;
  const auto view = MakeTableView(out.file(), /*steps=*/150, /*live=*/true);
  view->ShowActivity("generate 3/32");
  for (int i = 1; i <= 21; ++i) view->ShowStep(MakeStep(i));
  EXPECT_THAT(out.text(), HasSubstr("generate 3/32"));
  const size_t first = out.text().find("toxicity");
  EXPECT_NE(out.text().find("toxicity", first + 1), std::string::npos);
}

}  // namespace
}  // namespace mellow::cli
