#include "services/cli/train/next_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

orchestrator::v1::Run MakeRun() {
  orchestrator::v1::Run run;
  run.set_run_id("run-1");
  run.set_committed_steps(50);
  return run;
}

TEST(NextStepsTest, AreCommandsWithTheEvaluationFileBesideTheRunFile) {
  const testing::TempFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "mini-eval.json", "{}").ok());
  const std::string text = NextSteps(MakeRun(), folder / "mini.json", ".mellow");
  const std::string file = folder / "mini-eval.json";
  EXPECT_THAT(text, HasSubstr("  mellow evaluate " + file +
                              " --set arms=base,run-1@50 --dir .mellow --out "
                              ".mellow/evaluations/run-1\n"));
  EXPECT_THAT(text, HasSubstr("  mellow promote run-1@50 --evaluation "
                              ".mellow/evaluations/run-1/evaluation.json --dir .mellow\n"));
  EXPECT_THAT(text, HasSubstr("  mellow evaluate " + file +
                              " --steps-of run-1 --every 10 --dir .mellow\n"));
  orchestrator::v1::Run supervised = MakeRun();
  supervised.mutable_spec()->mutable_sft();
  supervised.set_adapter_path("/learner/run-1/adapter");
  const std::string of_sft = NextSteps(supervised, folder / "mini-sft.json", ".mellow");
  EXPECT_THAT(of_sft, HasSubstr("arms=base,/learner/run-1/adapter"));
  EXPECT_THAT(of_sft, Not(HasSubstr("--steps-of")));
}

TEST(NextStepsTest, ARunThatEndedWithATripGoesOnWithTheGoodStep) {
  orchestrator::v1::Run run = MakeRun();
  orchestrator::v1::GuardTrip* trip = run.add_guard_trips();
  trip->set_step(50);
  trip->set_good_step(44);
  EXPECT_THAT(NextSteps(run, "/nowhere/mine.json", ".mellow"), HasSubstr("promote run-1@44 "));
  trip->set_step(30);
  EXPECT_THAT(NextSteps(run, "/nowhere/mine.json", ".mellow"), HasSubstr("promote run-1@50 "));
}

TEST(NextStepsTest, WithoutSuchAFileSayWhatIsMissing) {
  const std::string text = NextSteps(MakeRun(), "/nowhere/mine.json", ".mellow");
  EXPECT_THAT(text, HasSubstr("an evaluation file (deploy/runs/README.md)"));
  EXPECT_THAT(text, HasSubstr("  mellow evaluate EVAL.json --set arms=base,run-1@50 --dir "));
}

}  // namespace
}  // namespace mellow::cli
