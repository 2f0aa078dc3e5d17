#include "services/cli/train/sft_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/services/cli/train/memory_file.h"

namespace mellow::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

orchestrator::v1::Run MakeRun(int steps) {
  orchestrator::v1::Run run;
  run.set_run_id("mini-1");
  learner::v1::SftRun* sft = run.mutable_sft();
  sft->set_total_steps(steps);
  sft->set_warmup_steps(7);
  sft->set_trainable_parameters(3538944);
  sft->set_total_parameters(251116800);
  sft->set_train_pairs(8017);
  sft->set_dev_pairs(80);
  sft->set_truncated_targets(1234);
  return run;
}

orchestrator::v1::Step MakeStep(int number, bool measured) {
  orchestrator::v1::Step any;
  any.set_step(number);
  learner::v1::SftStep* step = any.mutable_sft();
  step->set_step(number);
  step->set_epoch(number / 100.0);
  if (number > 0) {
    step->set_loss(1.25);
    step->set_learning_rate(1e-3);
    step->set_gradient_norm(0.5);
    step->set_tokens(4000);
    step->set_seconds(2);
  }
  if (measured) step->set_dev_loss(0.75);
  return any;
}

orchestrator::v1::Run MakeDone() {
  orchestrator::v1::Run run = MakeRun(1000);
  run.set_adapter_path("/runs/adapter");
  run.mutable_sft()->set_adapter_sha256("abcd");
  run.mutable_sft()->set_best_step(900);
  run.mutable_sft()->set_best_dev_loss(0.5);
  return run;
}

TEST(SftJsonViewTest, OneObjectALine) {
  Output out;
  const auto view = MakeSftJsonView(out.file());
  view->ShowStart(MakeRun(1000));
  view->ShowActivity("reading");
  view->ShowStep(MakeStep(0, true));
  view->ShowStep(MakeStep(1, false));
  view->ShowDone(MakeDone());
  std::istringstream lines(out.text());
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(objects.size(), 4u);
  EXPECT_EQ(objects[0]["trainable_parameters"], 3538944);
  EXPECT_NEAR(objects[0]["trainable_percent"].get<double>(), 1.4093, 1e-4);
  EXPECT_EQ(objects[1], nlohmann::json({{"step", 0}, {"epoch", 0.0}, {"dev_loss", 0.75}}));
  EXPECT_EQ(objects[2]["tokens_per_second"], 2000);
  EXPECT_FALSE(objects[2].contains("dev_loss"));
  EXPECT_EQ(objects[3]["sha256"], "abcd");
  EXPECT_EQ(objects[3]["path"], "/runs/adapter");
  EXPECT_EQ(objects[3]["best_step"], 900);
}

TEST(SftTableViewTest, PlainLinesFitTheScreenAndAreFew) {
  Output out;
  const auto view = MakeSftTableView(out.file(), /*live=*/false);
  view->ShowStart(MakeRun(1000));
  view->ShowStep(MakeStep(0, true));
  for (int i = 1; i <= 1000; ++i) {
    view->ShowActivity("training");
    view->ShowStep(MakeStep(i, i % 500 == 0));
  }
  view->ShowDone(MakeDone());
  const std::string text = out.text();
  EXPECT_THAT(
      text,
      HasSubstr("trainable params: 3,538,944 || all params: 251,116,800 || trainable%: 1.4093"));
  EXPECT_THAT(text, HasSubstr("truncated: 0 prompts, 1,234 summaries"));
  EXPECT_THAT(text, HasSubstr("lowest dev loss 0.5000, after step 900 (0.7500 before training)"));
  EXPECT_THAT(text, HasSubstr("--set start_adapter=/runs/adapter --set ppo.lora="));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  std::istringstream lines(text);
  int rows = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("/1000") == std::string::npos) continue;
    ++rows;
    EXPECT_LE(line.size(), 80u) << line;
  }
  EXPECT_EQ(rows, 42) << "step 0, step 1, and every 25th";
}

TEST(SftTableViewTest, ATerminalSeesEveryStepInItsLastLine) {
  Output out;
  const auto view = MakeSftTableView(out.file(), /*live=*/true);
  view->ShowActivity("reading");
  view->ShowStart(MakeRun(1000));
  view->ShowStep(MakeStep(2, false));
  EXPECT_THAT(out.text(), HasSubstr("  reading\r\033[Ktrainable")) << "the line is cleared first";
  EXPECT_THAT(out.text(), HasSubstr("2/1000"));
  view->ShowStep(MakeStep(3, false));
  view->ShowDone(MakeDone());
  EXPECT_THAT(out.text(), HasSubstr("\r\033[K"));
}

}  // namespace
}  // namespace mellow::cli
