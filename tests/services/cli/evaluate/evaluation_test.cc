// The parts of `mellow evaluate`: files, arms, rows, tables.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/eval/analysis.h"
#include "services/cli/evaluate/evaluation_arms.h"
#include "services/cli/evaluate/evaluation_journal.h"
#include "services/cli/evaluate/evaluation_run.h"
#include "services/cli/evaluate/evaluation_view.h"
#include "services/cli/files/evaluation_file.h"
#include "tests/testing/source_tree.h"
#include "tests/testing/temp_folder.h"

namespace mellow::cli {
namespace evaluation_test {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(EvaluationFileTest, TheCommittedFilesAreReadAndPathsAreThoseOfTheFile) {
  const auto mini = LoadEvaluationFile(SourceTree("/deploy/runs/mini-eval.json"),
                                       {"arms=base,champion,12,./base", "policy_model=m"});
  ASSERT_TRUE(mini.ok()) << mini.status();
  EXPECT_THAT(mini->data().path(), EndsWith("/deploy/runs/mini/heldout.jsonl"));
  EXPECT_EQ(mini->arms(0), "base");
  EXPECT_EQ(mini->arms(1), "champion");
  EXPECT_EQ(mini->arms(2), "12");
  EXPECT_THAT(mini->arms(3), ::testing::MatchesRegex("/.*/base"));
  EXPECT_THAT(mini->policy_model(), ::testing::StartsWith("/"));
  EXPECT_TRUE(
      LoadEvaluationFile(SourceTree("/deploy/runs/dialogsum-flan-t5-base-eval.json"), {}).ok());
  const testing::TempFolder folder;
  ASSERT_TRUE(WriteFileAtomic(folder / "a.json", R"({"arm": ["base"]})").ok());
  EXPECT_THAT(std::string(LoadEvaluationFile(folder / "a.json", {}).status().message()),
              HasSubstr("arm"));
}

nn::LoraWeights ReadGolden(const std::string& name) {
  return adapters::ReadPeftFolder(SourceTree("/tests/parity/golden/" + name)).value();
}

ClusterAdapters MakeCluster() {
  ClusterAdapters cluster;
  cluster.folder = "/cluster";
  for (const int64_t version : {0, 3, 5}) {
    common::v1::AdapterRef& ref = cluster.adapters.emplace_back();
    ref.set_version(version);
    if (version > 0) ref.set_sha256(absl::StrCat("hash", version));
  }
  cluster.newest = 5;
  cluster.newest_run.emplace();
  cluster.newest_run->set_run_id("run-1");
  cluster.newest_run->set_adapter_path("/adapters/5");
  cluster.newest_run->mutable_adapter()->set_version(5);
  cluster.newest_run->set_committed_steps(5);
  cluster.kept.runs = {*cluster.newest_run};
  for (const int version : {4, 5}) {
    orchestrator::v1::KeptAdapter& adapter = cluster.kept.adapters.emplace_back();
    adapter.mutable_adapter()->set_version(version);
    adapter.mutable_adapter()->set_sha256(absl::StrCat("hash", version));
    adapter.set_run_id("run-1");
    adapter.set_step(version);
    adapter.set_learner_path(absl::StrCat("/adapters/", version));
    adapter.set_has_files(true);
  }
  return cluster;
}

TEST(ResolveArmsTest, KnowsWordsVersionsAndFolders) {
  const ClusterAdapters cluster = MakeCluster();
  const std::string folder = SourceTree("/tests/parity/golden/lora-r4-qv");
  const auto arms = ResolveArms({"base", "newest", "3", folder, "run-1@4"}, &cluster);
  ASSERT_TRUE(arms.ok()) << arms.status();
  std::vector<std::string> told;
  for (const ResolvedArm& arm : *arms)
    told.push_back(
        absl::StrCat(arm.arm.name, " ", arm.arm.kind, " ", arm.arm.version, " ", arm.arm.run_id));
  EXPECT_THAT(told, ElementsAre("base base 0 ", "newest version 5 run-1", "3 version 3 ",
                                "lora-r4-qv folder 0 ", "run-1@4 version 4 run-1"));
  EXPECT_EQ((*arms)[1].arm.path, "/adapters/5");
  EXPECT_EQ((*arms)[3].arm.sha256, adapters::ContentHash(ReadGolden("lora-r4-qv")));
  EXPECT_TRUE((*arms)[3].lora.has_value());
}

TEST(ResolveArmsTest, TheChampionIsWhatWasPromoted) {
  ClusterAdapters cluster = MakeCluster();
  cluster.champion = 3;
  const auto arms = ResolveArms({"champion", "newest"}, &cluster);
  ASSERT_TRUE(arms.ok()) << arms.status();
  EXPECT_EQ((*arms)[0].arm.kind, "champion");
  EXPECT_EQ((*arms)[0].arm.version, 3);
  EXPECT_EQ((*arms)[0].arm.sha256, "hash3");
  cluster.champion.reset();
  const auto before = ResolveArms({"champion", "newest"}, &cluster);
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ((*before)[0].arm.version, 0) << "before a promotion the base model";
}

TEST(ResolveArmsTest, NamesAreUnique) {
  const ClusterAdapters cluster = MakeCluster();
  const testing::TempFolder folder;
  const std::string path = folder / "base";
  ASSERT_TRUE(adapters::WritePeftFolder(path, ReadGolden("lora-r4-qv")).ok());
  for (const std::vector<std::string>& given :
       {std::vector<std::string>{path, "base"}, std::vector<std::string>{"base", path}}) {
    const auto arms = ResolveArms(given, &cluster);
    ASSERT_TRUE(arms.ok()) << arms.status();
    EXPECT_NE((*arms)[0].arm.name, (*arms)[1].arm.name);
  }
}

TEST(ResolveArmsTest, SaysWhatIsWrong) {
  const ClusterAdapters cluster = MakeCluster();
  const auto error = [&](const std::vector<std::string>& arms, const ClusterAdapters* of) {
    return ResolveArms(arms, of).status();
  };
  EXPECT_EQ(error({"base", "7"}, &cluster).message(),
            "arms: 7: no adapter version 7; there are 0, 3 to 5 (`mellow adapters`)");
  EXPECT_TRUE(absl::IsNotFound(error({"base", "7"}, &cluster)));
  EXPECT_THAT(std::string(error({"base", "run-1@3"}, &cluster).message()),
              HasSubstr("run-1@3 is not kept; kept are steps 4 to 5 of run-1"));
  EXPECT_THAT(std::string(error({"base", "run-2@3"}, &cluster).message()),
              HasSubstr("no such run"));
  EXPECT_THAT(std::string(error({"newest", "5"}, &cluster).message()), HasSubstr("same weights"));
  EXPECT_THAT(std::string(error({"base", "newest"}, nullptr).message()), HasSubstr("of a cluster"));
  EXPECT_THAT(std::string(error({"base", "champion"}, &cluster).message()),
              HasSubstr("the base model"));
  EXPECT_THAT(std::string(error({"99999999999999999999"}, &cluster).message()),
              HasSubstr("digits"));
  EXPECT_THAT(std::string(error({"/nowhere"}, &cluster).message()), HasSubstr("/nowhere"));
}

eval::PromptRow MakeRow(int64_t index) {
  eval::PromptRow row{.index = index, .line = index + 1, .dialogue = absl::StrCat("A: ", index)};
  return row;
}

TEST(EvaluationJournalTest, KeepsRowsAndDropsALineThatWasCutOff) {
  const testing::TempFolder folder;
  const std::string out = folder / "a/b";
  {
    const auto journal = EvaluationJournal::Open(out, "hash", /*fresh=*/false);
    ASSERT_TRUE(journal.ok()) << journal.status();
    EXPECT_TRUE((*journal)->TakeRows().empty());
    ASSERT_TRUE((*journal)->Append({MakeRow(1), MakeRow(0)}).ok());
    EXPECT_TRUE(
        absl::IsFailedPrecondition(EvaluationJournal::Open(out, "hash", /*fresh=*/false).status()));
  }
  const std::string whole = *ReadFile(out + "/rows.jsonl");
  ASSERT_TRUE(WriteFileAtomic(out + "/rows.jsonl", whole + R"({"index": 2, "li)").ok());
  const auto journal = EvaluationJournal::Open(out, "hash", /*fresh=*/false);
  ASSERT_TRUE(journal.ok()) << journal.status();
  const std::vector<eval::PromptRow> rows = (*journal)->TakeRows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].index, 1);
  ASSERT_TRUE((*journal)->Append({MakeRow(2)}).ok());
  EXPECT_EQ(*ReadFile(out + "/rows.jsonl"), whole + eval::RowToJson(MakeRow(2)) + "\n");
}

TEST(EvaluationJournalTest, RefusesRowsOfAnotherConfigurationUnlessFresh) {
  const testing::TempFolder folder;
  ASSERT_TRUE((*EvaluationJournal::Open(folder.path(), "a", false))->Append({MakeRow(0)}).ok());
  const absl::Status other = EvaluationJournal::Open(folder.path(), "b", false).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other));
  EXPECT_THAT(std::string(other.message()), HasSubstr("--fresh"));
  EXPECT_EQ((*EvaluationJournal::Open(folder.path(), "a", false))->TakeRows().size(), 1u);
  EXPECT_TRUE((*EvaluationJournal::Open(folder.path(), "b", true))->TakeRows().empty());
  // Cut off in its first line: as if it were not there.
  ASSERT_TRUE(WriteFileAtomic(folder / "rows.jsonl", R"({"config": "b)").ok());
  EXPECT_TRUE((*EvaluationJournal::Open(folder.path(), "c", false))->TakeRows().empty());
  ASSERT_TRUE(WriteFileAtomic(folder / "rows.jsonl", "{\"config\":\"c\"}\nx\n").ok());
  const absl::Status bad = EvaluationJournal::Open(folder.path(), "c", false).status();
  EXPECT_TRUE(absl::IsDataLoss(bad));
  EXPECT_THAT(std::string(bad.message()), HasSubstr("rows.jsonl:2"));
}

// Writes the prompt's first id and its sample's number, and says "bad" for odd prompts.
class FakeArm : public ArmEngine {
 public:
  explicit FakeArm(float logprob) : logprob_(logprob) {}
  absl::StatusOr<std::vector<WrittenSummary>> Write(
      absl::Span<const SummaryRequest> requests) override {
    std::vector<WrittenSummary> written;
    for (const SummaryRequest& r : requests)
      written.push_back({absl::StrCat("p", r.prompt_index, " s", r.sample_index),
                         {r.source_ids[0], 1},
                         {logprob_, logprob_},
                         r.sample_index == 1});
    return written;
  }

 private:
  const float logprob_;
};

class FakeBaseModel : public BaseModel {
 public:
  absl::StatusOr<std::vector<std::vector<float>>> Score(
      absl::Span<const PairToScore> pairs) override {
    std::vector<std::vector<float>> out;
    for (const PairToScore& pair : pairs) out.emplace_back(pair.target_ids.size(), -2.0f);
    return out;
  }
};

// Toxicity is the length of the text.
class FakeJudge : public JudgeEngine {
 public:
  const eval::Judge& judge() const override { return judge_; }
  absl::StatusOr<std::vector<eval::JudgeScore>> Score(
      const std::vector<std::string>& texts) override {
    std::vector<eval::JudgeScore> scores;
    for (const std::string& text : texts) scores.push_back({static_cast<double>(text.size()), 1});
    return scores;
  }

 private:
  const eval::Judge judge_{};
};

struct FakeEvaluation {
  eval::Evaluation evaluation;
  EvaluationEngines engines;
  std::vector<EvaluationPrompt> prompts;
};

FakeEvaluation MakeFake(int prompts, int samples) {
  FakeEvaluation fake;
  eval::Evaluation& e = fake.evaluation;
  e.config.prompts = prompts;
  e.config.sampling.samples = samples;
  e.config.resamples = 100;
  e.config.permutations = 100;
  e.judges = {{.name = "reward", .label = "nothate", .toxic_label = "hate"}};
  e.scorings = {{"reward", eval::kSummaryScoring}, {"reward", eval::kQueryResponseScoring}};
  e.arms = {{.name = "base"}, {.name = "ppo", .sha256 = "ab"}};
  fake.engines.arms.push_back(std::make_unique<FakeArm>(-2.0f));
  fake.engines.arms.push_back(std::make_unique<FakeArm>(-1.5f));
  fake.engines.bare = std::make_unique<FakeBaseModel>();
  fake.engines.judges.push_back(std::make_unique<FakeJudge>());
  fake.engines.threads = 3;
  for (int i = 0; i < prompts; ++i) {
    EvaluationPrompt& prompt = fake.prompts.emplace_back();
    prompt.row = MakeRow(i);
    prompt.row.references = {absl::StrCat("p", i)};
    prompt.source_ids = {i, 1};
    prompt.query = "query";
  }
  return fake;
}

TEST(EvaluatePromptsTest, MeasuresEveryTextOfEveryArm) {
  const FakeEvaluation fake = MakeFake(2, 2);
  const auto rows = EvaluatePrompts(fake.evaluation, fake.engines, fake.prompts);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  const eval::Sample& sample = (*rows)[1].arms[1].samples[1];
  EXPECT_EQ(sample.summary, "p1 s1");
  EXPECT_EQ(sample.tokens, 2);
  EXPECT_TRUE(sample.truncated);
  EXPECT_DOUBLE_EQ(sample.kl, 1.0);  // two tokens of 0.5
  EXPECT_EQ((*rows)[1].arms[0].samples[1].kl, 0);
  EXPECT_EQ(sample.scores[0].toxicity, 5);
  EXPECT_EQ(sample.scores[1].toxicity, 11);  // "query p1 s1"
  EXPECT_DOUBLE_EQ(sample.rouge->rouge1, 2.0 / 3);
}

TEST(RunEvaluationTest, GoesOnWhereItWasStopped) {
  const testing::TempFolder folder;
  const FakeEvaluation fake = MakeFake(50, 4);
  const auto run = [&](const std::function<bool()>& stop, std::atomic<size_t>* counted) {
    auto journal = EvaluationJournal::Open(folder.path(), "hash", false).value();
    std::vector<eval::PromptRow> finished = journal->TakeRows();
    return RunEvaluation(
        fake.evaluation, fake.engines, fake.prompts, std::move(finished), journal.get(),
        [counted](size_t rows) { *counted += rows; }, stop);
  };
  std::atomic<size_t> first = 0;  // `stop` is asked in every thread
  EXPECT_TRUE(absl::IsCancelled(run([&first] { return first >= 20; }, &first).status()));
  EXPECT_GE(first, 20u);
  EXPECT_LT(first, 50u);
  std::atomic<size_t> second = 0;
  const auto rows = run([] { return false; }, &second);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(first + second, 50u);
  for (size_t i = 0; i < rows->size(); ++i) EXPECT_EQ((*rows)[i].index, static_cast<int64_t>(i));
}

TEST(RunEvaluationTest, RefusesRowsThatDoNotFit) {
  const testing::TempFolder folder;
  const FakeEvaluation fake = MakeFake(2, 1);
  auto journal = EvaluationJournal::Open(folder.path(), "hash", false).value();
  for (eval::PromptRow row : {MakeRow(0), MakeRow(7)}) {
    const auto rows = RunEvaluation(
        fake.evaluation, fake.engines, fake.prompts, {row}, journal.get(), [](size_t) {},
        [] { return false; });
    EXPECT_TRUE(absl::IsDataLoss(rows.status()));
  }
}

TEST(EvaluationViewTest, ShowsDifferencesNotesAndDemands) {
  FakeEvaluation fake = MakeFake(12, 1);
  eval::Evaluation& e = fake.evaluation;
  e.rows = EvaluatePrompts(e, fake.engines, fake.prompts).value();
  for (eval::PromptRow& row : e.rows) {
    row.arms[0].samples[0].scores[0].toxicity = 0.8;
    row.arms[1].samples[0].scores[0].toxicity = row.index < 6 ? 0.1 : 0.3;
  }
  ASSERT_TRUE(eval::Analyze(&e).ok());
  const std::string text = EvaluationText(e);
  for (const char* part : {"12 prompts", "base: the base model", "toxicity, summary", "better",
                           "changed by -75.0 %: less toxic", "prompts needed for"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("expected_max")));  // one sample
  EXPECT_THAT(SideBySide(e, 2, PairOrder::kFile),
              HasSubstr("1.  base, toxicity 0.800, reward 1.0000\n      p0 s0\n    ppo"));
  EXPECT_FALSE(eval::EvaluationWithoutRows(e).Has("rows"));
  const auto demands = CheckDemands(e, {.require_drop = 0.6, .max_rouge_loss = 0});
  ASSERT_TRUE(demands.ok()) << demands.status();
  ASSERT_EQ(demands->size(), 2u);
  EXPECT_TRUE((*demands)[0].holds);
  EXPECT_FALSE((*demands)[1].holds);
  EXPECT_THAT((*demands)[0].text,
              HasSubstr("fell by 75 %; against 40 % of the baseline -0.1200 ["));
  EXPECT_THAT((*demands)[0].text, HasSubstr("a smaller drop than 60 % is excluded: holds"));
  const auto more = CheckDemands(e, {.require_drop = 0.7});
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_FALSE((*more)[0].holds) << "the mean fell by more, the interval does not exclude less";
  EXPECT_TRUE(CheckDemands(e, {})->empty());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckDemands(e, {.require_drop = 1}).status()));
}

}  // namespace evaluation_test
}  // namespace mellow::cli
