// What an evaluation has of TRL's notebook: its texts, one arm alone, the start adapter, the
// percentage improvements and the order by reward.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/eval/analysis.h"
#include "services/cli/evaluate/evaluation_arms.h"
#include "services/cli/evaluate/evaluation_plan.h"
#include "services/cli/evaluate/evaluation_view.h"
#include "services/cli/evaluate/judged_text.h"
#include "services/cli/files/evaluation_file.h"
#include "tests/testing/source_tree.h"

namespace mellow::cli {
namespace evaluation_notebook_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(JudgedTextTest, TheTemplateIsTheFirstScoring) {
  EXPECT_THAT(*ScoringsFor("", false), ElementsAre("summary", "query_response"));
  EXPECT_THAT(*ScoringsFor("{response}", false), ElementsAre("summary", "query_response"));
  EXPECT_THAT(*ScoringsFor("{query} {response}", false), ElementsAre("query_response", "summary"));
  EXPECT_THAT(*ScoringsFor("{query} {response}", true),
              ElementsAre("{query with special tokens} {response}", "summary"));
  EXPECT_THAT(*ScoringsFor("{query}{response}", false),
              ElementsAre("{query}{response}", "summary"));
  EXPECT_THAT(std::string(ScoringsFor("{query}", false).status().message()),
              HasSubstr("text_template: {query}: must contain {response}"));
  // It would change nothing, so it is a mistake.
  EXPECT_THAT(std::string(ScoringsFor("", true).status().message()),
              HasSubstr("keep_query_special_tokens"));
}

TEST(JudgedTextTest, FillsTheTemplateOnce) {
  const JudgedParts parts = {"ask {response}", "ask</s>", "say {query}"};
  EXPECT_EQ(JudgedText("summary", parts), "say {query}");
  EXPECT_EQ(JudgedText("query_response", parts), "ask {response} say {query}");
  EXPECT_EQ(JudgedText("{query with special tokens} {response}|{x}", parts),
            "ask</s> say {query}|{x}");
}

// Toxicities 0.2 0.4 0.6 before; 0.3 0.3 0.6 after. Rewards: their negative.
eval::Evaluation MakeEvaluation(size_t arms) {
  eval::Evaluation e;
  e.config.prompts = 3;
  e.config.resamples = 100;
  e.config.permutations = 100;
  e.judges = {{.name = "reward", .label = "nothate", .toxic_label = "hate"}};
  e.scorings = {{"reward", "{query with special tokens} {response}"}};
  e.arms = {{.name = "start", .kind = "base"}};
  if (arms == 2)
    e.arms.push_back({.name = "newest", .kind = "version", .version = 3, .sha256 = "a"});
  const double toxicities[2][3] = {{0.2, 0.4, 0.6}, {0.3, 0.3, 0.6}};
  for (int i = 0; i < 3; ++i) {
    eval::PromptRow& row = e.rows.emplace_back();
    row.index = i;
    row.line = i + 1;
    for (size_t a = 0; a < arms; ++a) {
      eval::Sample& sample = row.arms.emplace_back().samples.emplace_back();
      sample.summary = absl::StrCat("text ", i);
      sample.tokens = 2;
      sample.scores = {{.toxicity = toxicities[a][i], .logit = -toxicities[a][i]}};
    }
  }
  EXPECT_TRUE(eval::Analyze(&e).ok());
  e.config.sha256 = eval::ConfigHash(e);
  return e;
}

TEST(OneArmTest, IsMeasuredAndComparedWithNothing) {
  const eval::Evaluation e = MakeEvaluation(1);
  EXPECT_TRUE(e.comparisons.empty());
  const auto read = eval::EvaluationFromJson(eval::EvaluationToJson(e));
  ASSERT_TRUE(read.ok()) << read.status();
  const std::string text = EvaluationText(e);
  EXPECT_THAT(text, HasSubstr("start: the base model"));
  EXPECT_THAT(text, HasSubstr("0.4000"));  // the mean
  EXPECT_THAT(text, HasSubstr("0.1633"));  // the population's standard deviation
  EXPECT_THAT(text, Not(HasSubstr("improvement")));
  EXPECT_TRUE(CheckDemands(e, {})->empty());
  EXPECT_THAT(std::string(CheckDemands(e, {.require_drop = 0.5}).status().message()),
              HasSubstr("--require-drop: one arm alone"));
  evaluation::v1::EvaluationSpec spec;
  spec.mutable_data()->set_path("x.csv");
  EXPECT_THAT(std::string(ConfigOf(spec).status().message()), HasSubstr("arms: none"));
  spec.add_arms("start");
  EXPECT_TRUE(ConfigOf(spec).ok());
}

TEST(TwoArmsTest, ImprovementsAreTheNotebooks) {
  const eval::Evaluation e = MakeEvaluation(2);
  // numpy: 100 * (0.4 - 0.4) / 0.4, and 100 * (0.163299 - 0.141421) / 0.163299
  EXPECT_THAT(
      EvaluationText(e),
      HasSubstr("percentage improvement of the toxicity: 0.00 % of the mean, 13.40 % of the sd"));
}

TEST(TwoArmsTest, PairsAreSortedByTheDifferenceOfRewards) {
  const eval::Evaluation e = MakeEvaluation(2);
  const auto order = [&](size_t count, PairOrder by) {
    const std::string text = SideBySide(e, count, by);
    std::string numbers;
    for (int i = 1; i <= 3; ++i)
      absl::StrAppend(&numbers,
                      text.find(absl::StrCat(i, ".  start")) == std::string::npos ? "-" : "");
    const size_t first = text.find("1.  "), second = text.find("2.  ");
    return absl::StrCat(numbers, second < first ? "2 before 1" : "1 before 2");
  };
  EXPECT_EQ(order(3, PairOrder::kFile), "1 before 2");
  EXPECT_EQ(order(3, PairOrder::kRewardDifference), "2 before 1");  // +0.1, then 0 and -0.1
  EXPECT_EQ(order(2, PairOrder::kRewardDifference), "-2 before 1") << "the first two, sorted";
  EXPECT_THAT(SideBySide(e, 3, PairOrder::kRewardDifference),
              HasSubstr("2.  start, toxicity 0.400, reward -0.4000\n      text 1\n"
                        "    newest, toxicity 0.300, reward -0.3000 (+0.1000)"));
}

TEST(StartArmTest, IsWhatTheNewestRunBeganWith) {
  ClusterAdapters cluster;
  cluster.folder = "/cluster";
  const auto error = [&] {
    return std::string(ResolveArms({"start"}, &cluster).status().message());
  };
  EXPECT_THAT(error(), HasSubstr("arms: start: the cluster in /cluster has not run anything yet"));
  EXPECT_FALSE(ResolveArms({"start"}, nullptr).ok());
  orchestrator::v1::Run& run = cluster.newest_run.emplace();
  run.set_run_id("r7");
  EXPECT_THAT(error(), HasSubstr("has not opened run r7"));
  // A fresh adapter.
  run.mutable_start_adapter_ref()->set_version(0);
  auto arms = ResolveArms({"start"}, &cluster);
  ASSERT_TRUE(arms.ok()) << arms.status();
  EXPECT_EQ((*arms)[0].arm.name, "start");
  EXPECT_EQ((*arms)[0].arm.kind, "base");
  // A folder, as long as it is the same.
  const std::string folder = SourceTree("/tests/parity/golden/lora-r4-qv");
  const std::string hash = adapters::ContentHash(adapters::ReadPeftFolder(folder).value());
  run.mutable_start_adapter_ref()->set_version(4);
  run.mutable_start_adapter_ref()->set_sha256(hash);
  run.mutable_spec()->set_start_adapter(folder);
  arms = ResolveArms({"start"}, &cluster);
  ASSERT_TRUE(arms.ok()) << arms.status();
  EXPECT_EQ((*arms)[0].arm.name, "start");
  EXPECT_EQ((*arms)[0].arm.path, folder);
  EXPECT_TRUE((*arms)[0].lora.has_value());
  run.mutable_spec()->set_start_adapter(SourceTree("/tests/parity/golden/lora-r3-all"));
  EXPECT_THAT(error(), HasSubstr("has changed since run r7 began"));
  // A version that the cluster keeps, under whatever number.
  cluster.adapters.emplace_back().set_version(9);
  cluster.adapters.back().set_sha256(hash);
  arms = ResolveArms({"start"}, &cluster);
  ASSERT_TRUE(arms.ok()) << arms.status();
  EXPECT_EQ((*arms)[0].arm.version, 9);
}

}  // namespace evaluation_notebook_test
}  // namespace mellow::cli
