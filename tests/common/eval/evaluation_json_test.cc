#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "common/eval/evaluation.h"

namespace mellow::eval {
namespace evaluation_json_test {

Sample MakeSample(const std::string& summary, double toxicity) {
  return {.summary = summary,
          .tokens = 7,
          .truncated = true,
          .kl = 0.1,
          .scores = {{.toxicity = toxicity, .logit = -1.5, .truncated = true}},
          .rouge = RowRouge{.rouge1 = 1.0 / 3, .rouge_l = 0.25}};
}

// Two arms, one scoring, one row; a number in most fields.
Evaluation MakeEvaluation() {
  Evaluation e;
  e.config.name = "mini";
  e.config.prompts = 1;
  e.config.sampling.samples = 1;
  e.config.sampling.seed = 0xFFFFFFFFFFFFFFFF;
  e.judges = {{.name = "reward", .model = "mini", .label = "nothate", .toxic_label = "hate"}};
  e.scorings = {{.judge = "reward", .text = kSummaryScoring}};
  e.arms = {{.name = "base", .kind = "base"},
            {.name = "28", .kind = "version", .version = 28, .sha256 = "ab", .path = "/a"}};
  for (const Arm& arm : e.arms) {
    ArmSummary summary{.arm = arm.name};
    summary.toxicity = {{.scoring = e.scorings[0], .toxicity = {0.1, 0.05, 0.2}}};
    if (arm.version != 0) summary.rouge = RougeSummary{.rouge1 = {0.5, 0.4, 0.6}};
    e.summaries.push_back(summary);
  }
  Difference difference{.measure = "toxicity",
                        .scoring = e.scorings[0],
                        .difference = {-0.3, -0.4, -0.1},
                        .relative = -0.5,
                        .p_value = 1e-4,
                        .verdict = Verdict::kBetter,
                        .needed = {.for_observed = 12, .for_change = 625}};
  e.comparisons = {{.baseline = "base", .arm = "28", .pairs = 1, .differences = {difference}}};
  e.slices = {{.column = "topic",
               .value = "shopping",
               .prompts = 1,
               .toxicity = {{"base", 0.5}, {"28", 0.25}},
               .differences = {{"28", difference}}}};
  e.notes = {"a note"};
  PromptRow row{.index = 3, .line = 9, .dialogue = "#Person1#: \"hi\"\n", .references = {"a", "b"}};
  row.columns["topic"] = "shopping";
  row.arms = {{{MakeSample("before", 0.1)}}, {{MakeSample("\u00e4 after", 0.30000000000000004)}}};
  e.rows = {row};
  return e;
}

TEST(EvaluationJsonTest, ReadsBackWhatItWrote) {
  const std::string json = EvaluationToJson(MakeEvaluation());
  const absl::StatusOr<Evaluation> read = EvaluationFromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(EvaluationToJson(*read), json);
  EXPECT_EQ(read->config.sampling.seed, 0xFFFFFFFFFFFFFFFF);
  EXPECT_EQ(read->rows[0].arms[1].samples[0].scores[0].toxicity, 0.30000000000000004);
  EXPECT_EQ(read->comparisons[0].differences[0].verdict, Verdict::kBetter);
  EXPECT_EQ(read->comparisons[0].differences[0].needed.for_change, 625);
  EXPECT_FALSE(read->comparisons[0].differences[0].needed.for_change_unpaired.has_value());
  EXPECT_FALSE(read->summaries[0].rouge.has_value());
  EXPECT_EQ(read->summaries[1].rouge->rouge1.upper, 0.6);
}

TEST(EvaluationJsonTest, ReadsBackARow) {
  const std::string json = RowToJson(MakeEvaluation().rows[0]);
  EXPECT_FALSE(absl::StrContains(json, "\n"));
  const absl::StatusOr<PromptRow> row = RowFromJson(json);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ(RowToJson(*row), json);
}

TEST(EvaluationJsonTest, ReadsFilesOfOlderVersions) {
  Evaluation e = MakeEvaluation();
  e.rows[0].uncut_prompt_tokens = 700;
  const std::string json = EvaluationToJson(e);
  EXPECT_EQ(EvaluationFromJson(json)->rows[0].uncut_prompt_tokens, 700);
  const auto older = EvaluationFromJson(
      absl::StrReplaceAll(json, {{"\"uncut_prompt_tokens\"", "\"something_else\""}}));
  ASSERT_TRUE(older.ok()) << older.status();
  EXPECT_FALSE(older->rows[0].uncut_prompt_tokens.has_value());
}

TEST(EvaluationJsonTest, NamesWhatIsMissingOrOfAnotherType) {
  const std::string json = EvaluationToJson(MakeEvaluation());
  const auto error = [&](const std::string& from, const std::string& to) {
    EXPECT_TRUE(absl::StrContains(json, from)) << from;
    return std::string(
        EvaluationFromJson(absl::StrReplaceAll(json, {{from, to}})).status().message());
  };
  EXPECT_EQ(error("\"p_value\"", "\"p\""), "comparisons[0].differences[0].p_value is missing");
  EXPECT_EQ(error("\"verdict\": \"better\"", "\"verdict\": \"good\""),
            "comparisons[0].differences[0].verdict: noise, better, worse or changed is needed");
  EXPECT_EQ(error("\"version\": 28", "\"version\": \"28\""),
            "arms[1].version: a whole number is needed");
  EXPECT_EQ(error("\"version\": 28", "\"version\": 18446744073709551615"),
            "arms[1].version: a smaller number is needed");
  EXPECT_EQ(error("\"schema\": 1", "\"schema\": 2"),
            "schema: 2; this program reads evaluations of schema 1");
  EXPECT_EQ(error("\"samples\": 1", "\"samples\": 2"),
            "rows[0].arms[].samples has 1 entries, there must be 2");
  EXPECT_THAT(std::string(EvaluationFromJson("{").status().message()),
              ::testing::StartsWith("not a JSON object in UTF-8: "));
}

TEST(EvaluationJsonTest, HashIsOfWhatTheNumbersDependOn) {
  Evaluation e = MakeEvaluation();
  const std::string hash = ConfigHash(e);
  EXPECT_EQ(hash.size(), 64u);
  e.config.sha256 = hash;
  e.rows.clear();
  e.notes.clear();
  EXPECT_EQ(ConfigHash(e), hash);
  e.arms[1].sha256 = "ac";
  EXPECT_NE(ConfigHash(e), hash);
}

}  // namespace evaluation_json_test
}  // namespace mellow::eval
