#include "common/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/common/report/markup.h"
#include "tests/common/report/sample_input.h"

namespace mellow::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

TEST(ReportTest, EqualInputsGiveEqualBytes) {
  const Report a = MakeReport(SampleInput()), b = MakeReport(SampleInput());
  EXPECT_EQ(a.html, b.html);
  EXPECT_EQ(a.markdown, b.markdown);
  EXPECT_EQ(a.json, b.json);
}

TEST(ReportTest, PageIsWellFormedAndLetsNothingRunOrBeFetched) {
  const std::string html = MakeReport(SampleInput()).html;
  EXPECT_EQ(MarkupError(html), "");
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  for (const char* forbidden : {"<script", "<link", "<img", "<iframe", "url(", "@import", " onload",
                                "http://", "https://"}) {
    std::string rest = html;
    for (size_t i; (i = rest.find("http://www.w3.org/2000/svg")) != std::string::npos;)
      rest.erase(i, 26);
    EXPECT_THAT(rest, Not(HasSubstr(forbidden)));
  }
}

TEST(ReportTest, HostileTextsStayText) {
  for (const std::string& hostile :
       {std::string("</p></details><script>alert(1)</script>"), std::string("\" onload=\"x"),
        std::string("--><svg onload=x>"), std::string("]]></style><b>"),
        std::string("\xff\xfe\x01", 3), std::string("&lt;script&gt;"), std::string("'><img src=x>"),
        std::string("\n\n# h\n\n```\n"), std::string("a|b\\|c\n---|---"),
        std::string("\xE2\x80\xAE evil")}) {
    const Report report = MakeReport(SampleInput({.prompts = 5, .hostile = hostile}));
    EXPECT_EQ(MarkupError(report.html), "") << hostile;
    EXPECT_THAT(report.html, Not(HasSubstr("<script"))) << hostile;
    EXPECT_THAT(report.html, Not(HasSubstr("<img"))) << hostile;
    EXPECT_THAT(report.markdown, Not(HasSubstr("\n# h"))) << hostile;
    EXPECT_THAT(report.markdown, Not(HasSubstr("\n```"))) << hostile;
    EXPECT_FALSE(Json::parse(report.json, nullptr, false).is_discarded()) << hostile;
    // Every table keeps its shape.
    EXPECT_EQ(TableError(report.markdown), "") << hostile;
  }
}

TEST(ReportTest, SaysInTheFirstSentenceWhatCameOfIt) {
  const auto verdict = [](const SampleOptions& options) {
    const Json json = Json::parse(MakeReport(SampleInput(options)).json, nullptr, false);
    return json["verdicts"][0]["sentence"].get<std::string>();
  };
  EXPECT_THAT(verdict({}), HasSubstr("ppo are less toxic than those by base"));
  EXPECT_THAT(verdict({.improvement = -0.6}), HasSubstr("ppo are more toxic than those by base"));
  EXPECT_THAT(verdict({.improvement = 0}), HasSubstr("cannot be told from noise"));
  EXPECT_THAT(verdict({.references = false}), HasSubstr("ROUGE was not measured"));
}

TEST(ReportTest, MeansOfRougeStandInOneTable) {
  ReportInput input = SampleInput();
  const auto rows_of = [&](const std::string& markdown) {
    const std::string lead = "\n| ROUGE-2 |";
    return absl::StrContains(markdown, lead) + absl::StrContains(markdown, " ROUGE-2 | ROUGE-L |");
  };
  EXPECT_EQ(rows_of(MakeReport(input).markdown), 1);
  input.evaluation.comparisons.clear();
  EXPECT_EQ(rows_of(MakeReport(input).markdown), 1) << "one arm alone is compared with nothing";
}

TEST(ReportTest, DegenerateInputsGiveAWholeReport) {
  SampleOptions none{.prompts = 1, .references = false};
  ReportInput input{.evaluation = SampleEvaluation(none)};
  std::vector<ReportInput> inputs = {input};
  input.evaluation.rows.clear();
  inputs.push_back(input);
  input.evaluation.scorings.clear();
  for (eval::ArmSummary& summary : input.evaluation.summaries) summary.toxicity.clear();
  input.evaluation.slices.clear();
  input.evaluation.judges.clear();
  input.evaluation.comparisons[0].differences.clear();
  inputs.push_back(input);
  ReportInput constant{.evaluation = SampleEvaluation({.prompts = 4})};
  for (eval::PromptRow& row : constant.evaluation.rows) {
    for (eval::ArmRow& arm : row.arms) arm.samples[0].scores[0].toxicity = 0;
  }
  inputs.push_back(constant);
  ReportInput empty_cluster = SampleInput({.prompts = 3});
  empty_cluster.cluster = ClusterHistory();
  empty_cluster.review = review::ReviewSummary();
  inputs.push_back(empty_cluster);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Report report = MakeReport(inputs[i]);
    EXPECT_EQ(MarkupError(report.html), "") << i;
    EXPECT_EQ(TableError(report.markdown), "") << i;
    for (const char* word : {">nan", ">inf", "\"nan", "-nan"})
      EXPECT_THAT(report.html, Not(HasSubstr(word))) << i;
    EXPECT_FALSE(Json::parse(report.json, nullptr, false).is_discarded()) << i;
  }
}

TEST(ReportTest, ACurveOfNumbersThatAreNoneIsShownAsSuch) {
  ReportInput input = SampleInput({.prompts = 3});
  for (PpoStep& step : input.cluster->runs[0].steps) {
    step.objective_kl = std::nan("");
    step.returns_mean = std::numeric_limits<double>::infinity();
    step.score_mean = 1e300;
  }
  const Report report = MakeReport(input);
  EXPECT_EQ(MarkupError(report.html), "");
  EXPECT_THAT(report.html, HasSubstr("n/a"));
  EXPECT_THAT(report.html, Not(HasSubstr("=\"nan")));
  EXPECT_THAT(report.html, Not(HasSubstr("inf,")));
}

TEST(ReportTest, WhatIsNotThereIsSaidToBeLeftOut) {
  const ReportInput input{.evaluation = SampleEvaluation({.prompts = 5})};
  const Report report = MakeReport(input);
  EXPECT_THAT(report.html, HasSubstr("without a running cluster (--dir)"));
  EXPECT_THAT(report.html, HasSubstr("(--review)"));
  EXPECT_THAT(report.html, HasSubstr("No words are marked"));
  const Json json = Json::parse(report.json, nullptr, false);
  EXPECT_TRUE(json["cluster"].is_null());
  EXPECT_TRUE(json["lineage"].is_null());
  EXPECT_TRUE(json["review"].is_null());
  EXPECT_TRUE(json["pairs"][0]["arms"][0]["spans"].is_null());
}

TEST(ReportTest, NumbersOfTheMarkdownAreThoseOfTheJsonRounded) {
  const Report report = MakeReport(SampleInput());
  const Json json = Json::parse(report.json, nullptr, false);
  const auto rows = MarkdownTable(report.markdown, "measure");
  const Json& differences = json["evaluation"]["comparisons"][0]["differences"];
  size_t compared = 0;
  for (const auto& d : differences) {
    // The name's row: the first one that is not used up and has this difference's numbers.
    bool found = false;
    for (const auto& row : rows) {
      if (row.size() != 8) continue;
      found = found || (SameRounded(row[1], d["baseline"]) && SameRounded(row[2], d["arm"]) &&
                        SameRounded(row[3], d["difference"]["mean"]) &&
                        SameRounded(row[4], d["difference"]["lower"], 0) &&
                        SameRounded(row[4], d["difference"]["upper"], 1) &&
                        SameRounded(row[5], d["p_value"]));
    }
    EXPECT_TRUE(found) << d.dump();
    ++compared;
  }
  EXPECT_EQ(compared, differences.size());
  EXPECT_GE(compared, 15u);
}

TEST(ReportTest, ShowsTwentyPairsWithToxicWordsMarked) {
  const Report report = MakeReport(SampleInput());
  const Json json = Json::parse(report.json, nullptr, false);
  EXPECT_EQ(json["pairs"].size(), 20u);
  EXPECT_THAT(report.html, HasSubstr("<mark class=\"m3\""));
  EXPECT_THAT(report.html, HasSubstr(">moron.</mark>"));
  EXPECT_THAT(report.markdown, HasSubstr("**moron.**"));
}

TEST(ReportTest, TracesAnArmThroughPpoToSupervisedTraining) {
  const Json json = Json::parse(MakeReport(SampleInput()).json, nullptr, false);
  const Json& arm = json["lineage"][1];
  ASSERT_EQ(arm["origins"].size(), 2u);
  EXPECT_EQ(arm["origins"][0]["run_id"], "run-1");
  EXPECT_EQ(arm["origins"][0]["step"], 28);
  EXPECT_EQ(arm["origins"][1]["run_id"], "sft-1");
  EXPECT_EQ(json["lineage"][0]["origins"].size(), 0u);
}

TEST(ReportTest, TellsOfTheRunsThatMadeTheArmsAlone) {
  ReportInput input = SampleInput({.prompts = 5});
  const Report alone = MakeReport(input);
  ClusterHistory& cluster = *input.cluster;
  cluster.runs.insert(cluster.runs.begin(), cluster.runs[0]);
  cluster.runs[0].run_id = "another-run";
  for (PpoStep& step : cluster.runs[0].steps) step.adapter.sha256 = std::string(64, '7');
  cluster.promotions.push_back({.kind = "promote",
                                .adapter = {.version = 99, .sha256 = std::string(64, '7')},
                                .reason = "of another run"});
  EXPECT_EQ(MakeReport(input).html, alone.html);
  EXPECT_EQ(MakeReport(input).json, alone.json);
  // Where no arm is of the cluster, nothing of it is told.
  for (eval::Arm& arm : input.evaluation.arms) {
    arm.sha256.clear();
    arm.run_id.clear();
  }
  const Report none = MakeReport(input);
  EXPECT_THAT(none.markdown, HasSubstr("No run of the cluster made an adapter"));
  EXPECT_THAT(none.markdown, Not(HasSubstr("run-1")));
}

TEST(ReportTest, TellsWhenAGuardTookARunBack) {
  const Report report = MakeReport(SampleInput());
  EXPECT_THAT(
      report.markdown,
      HasSubstr("Its guard took it back after step 9: guard.kl\\_max: 40, the bound is 30"));
  EXPECT_THAT(report.json, HasSubstr("\"check\": \"kl_max\""));
}

TEST(ReportTest, DatesTheRuns) {
  const Report report = MakeReport(SampleInput({.prompts = 5}));
  EXPECT_THAT(report.markdown,
              HasSubstr("begun 2026-01-02 03:04:05 UTC, done 2026-01-02 03:14:05 UTC"));
}

TEST(ReportTest, WarnsOfRatingsOfAnotherEvaluation) {
  ReportInput input = SampleInput({.prompts = 5});
  EXPECT_THAT(MakeReport(input).html, Not(HasSubstr("of another evaluation")));
  input.review->evaluation_sha256 = "0123";
  EXPECT_THAT(MakeReport(input).html, HasSubstr("of another evaluation"));
}

TEST(ReportTest, WarnsWhereTheRewardWasGamed) {
  ReportInput input = SampleInput();
  const auto warnings = [&] {
    return Json::parse(MakeReport(input).json, nullptr, false)["warnings"].dump();
  };
  for (eval::Difference& d : input.evaluation.comparisons[0].differences) {
    if (d.measure == "tokens") d.verdict = eval::Verdict::kNoise;
  }
  EXPECT_EQ(warnings(), "[]");
  eval::ShapeSummary& shape = input.evaluation.summaries[1].shape;
  shape.distinct_2 = 0.1;
  EXPECT_THAT(warnings(), HasSubstr("different 2-grams"));
  shape.empty = shape.texts;
  EXPECT_THAT(warnings(), HasSubstr("without a word"));
  shape.truncated = shape.texts;
  EXPECT_THAT(warnings(), HasSubstr("token limit"));
  shape.kl_per_sequence.mean = 50;
  EXPECT_THAT(warnings(), HasSubstr("KL to the base model"));
  for (eval::Difference& d : input.evaluation.comparisons[0].differences) {
    if (d.measure == "rougeL") d.verdict = eval::Verdict::kWorse;
    if (d.measure == "tokens") {
      d.verdict = eval::Verdict::kChanged;
      d.relative = -0.5;
    }
  }
  EXPECT_THAT(warnings(), HasSubstr("bought with content"));
  EXPECT_THAT(warnings(), HasSubstr("50.0 % shorter"));
}

TEST(ReportTest, WarnsOfAJudgeOfTheSameTextThatDoesNotConfirm) {
  ReportInput input = SampleInput();
  input.evaluation.judges.push_back({.name = "second", .independent = true});
  std::vector<eval::Difference>& differences = input.evaluation.comparisons[0].differences;
  eval::Difference whole = differences[0];
  ASSERT_EQ(whole.measure, "toxicity");
  ASSERT_EQ(whole.verdict, eval::Verdict::kBetter);
  whole.scoring = {.judge = "second", .text = eval::kQueryResponseScoring};
  whole.verdict = eval::Verdict::kNoise;
  differences.push_back(whole);
  const size_t summary = differences.size();
  differences.push_back(differences[0]);
  differences[summary].scoring->judge = "second";
  EXPECT_THAT(MakeReport(input).json, Not(HasSubstr("judge second does not find it less toxic")));
  differences[summary].verdict = eval::Verdict::kNoise;
  EXPECT_THAT(MakeReport(input).json, HasSubstr("judge second does not find it less toxic"));
}

}  // namespace
}  // namespace mellow::report
