#include "services/orchestrator/ledger/sqlite_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/base/steady_time.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SqliteLedgerTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  // As after a crash: nothing was told to the file that was not told before.
  void Reopen() {
    ledger_.reset();
    auto opened = SqliteLedger::Open(folder_ / "ledger.db");
    ASSERT_TRUE(opened.ok()) << opened.status();
    ledger_ = *std::move(opened);
  }
  static Rollout MakeRollout(uint64_t index, int32_t token) {
    return {.prompt_index = index,
            .query_ids = {5, 6, 1},
            .response_ids = {token, 1},
            .logprobs = {-0.5f, -1.25f},
            .finished = true,
            .adapter = {3, "abc"}};
  }

  testing::TempFolder folder_;
  std::unique_ptr<SqliteLedger> ledger_;
};

TEST_F(SqliteLedgerTest, ARolloutThatIsDeliveredTwiceIsKeptOnce) {
  const Rollout first = MakeRollout(0, 10);
  const Rollout other = MakeRollout(0, 11);
  EXPECT_EQ(*ledger_->AddRollouts("run", 1, {first, MakeRollout(1, 12)}), 2);
  EXPECT_EQ(*ledger_->AddRollouts("run", 1, {other}), 0);
  Reopen();
  const auto kept = ledger_->Rollouts("run", 1);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_THAT((*kept)[0].response_ids, ElementsAre(10, 1));
  EXPECT_THAT((*kept)[0].query_ids, ElementsAre(5, 6, 1));
  EXPECT_THAT((*kept)[0].logprobs, ElementsAre(-0.5f, -1.25f));
  EXPECT_TRUE((*kept)[0].finished);
  EXPECT_EQ((*kept)[0].adapter, (AdapterRef{3, "abc"}));
  EXPECT_FALSE((*kept)[0].score.has_value());
  EXPECT_TRUE(ledger_->Rollouts("run", 2)->empty());
}

TEST_F(SqliteLedgerTest, TheFirstScoreStays) {
  ASSERT_TRUE(ledger_->AddRollouts("run", 1, {MakeRollout(0, 10), MakeRollout(1, 10)}).ok());
  ASSERT_TRUE(ledger_->SetScores("run", 1, {{0, {0.1f, 0.9f}}}).ok());
  ASSERT_TRUE(ledger_->SetScores("run", 1, {{0, {5, 5}}}).ok());
  Reopen();
  const auto kept = ledger_->Rollouts("run", 1);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ((*kept)[0].score->score, 0.1f) << "to the last bit: the learner trains on it";
  EXPECT_EQ((*kept)[0].score->toxicity, 0.9f);
  EXPECT_FALSE((*kept)[1].score.has_value());
}

TEST_F(SqliteLedgerTest, KeepsWhatThePolicyNodesComputedForTheLearner) {
  Rollout with_values = MakeRollout(0, 10);
  with_values.values = {0.25f, -1e-30f};
  with_values.value_head_sha256 = "head";
  ASSERT_TRUE(ledger_->AddRollouts("run", 1, {with_values, MakeRollout(1, 11)}).ok());
  Rollout other = with_values;
  other.values = {7, 7};
  ASSERT_TRUE(ledger_->AddRollouts("run", 1, {other}).ok());
  ASSERT_TRUE(ledger_->SetReference("run", 1, {2, "ref"}, {{0, {-3, -4}}, {1, {-5, -6}}}).ok());
  ASSERT_TRUE(ledger_->SetReference("run", 1, {2, "ref"}, {{1, {-7, -8}}}).ok());
  ASSERT_TRUE(ledger_->AddRollouts("run", 2, {MakeRollout(8, 12)}).ok());
  Reopen();
  const auto kept = ledger_->Rollouts("run", 1);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_THAT((*kept)[0].values, ElementsAre(0.25f, -1e-30f)) << "the first delivery's, as its ids";
  EXPECT_EQ((*kept)[0].value_head_sha256, "head");
  EXPECT_THAT((*kept)[0].reference_logprobs, ElementsAre(-3, -4));
  EXPECT_EQ((*kept)[0].reference, (AdapterRef{2, "ref"}));
  EXPECT_TRUE((*kept)[1].values.empty());
  EXPECT_THAT((*kept)[1].reference_logprobs, ElementsAre(-7, -8));
  EXPECT_TRUE(ledger_->Rollouts("run", 2)->at(0).reference_logprobs.empty());
  for (int step = 1; step <= 4; ++step)
    ASSERT_TRUE(ledger_->CommitStep("run", {.step = step}).ok());
  ASSERT_TRUE(ledger_->AddRollouts("run", 1, {MakeRollout(0, 10)}).ok());
  EXPECT_TRUE(ledger_->Rollouts("run", 1)->at(0).reference_logprobs.empty()) << "dropped with it";
}

TEST_F(SqliteLedgerTest, ALedgerFromBeforeNodesComputedForTheLearnerIsReadAndGoesOn) {
  ASSERT_TRUE(ledger_->AddRollouts("run", 1, {MakeRollout(0, 10)}).ok());
  ledger_.reset();
  {
    auto database = sqlite::Database::Open(folder_ / "ledger.db");
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)->Execute("DROP TABLE rollout_numbers").ok());
  }
  Reopen();
  const auto kept = ledger_->Rollouts("run", 1);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_THAT(kept->at(0).response_ids, ElementsAre(10, 1));
  EXPECT_TRUE(kept->at(0).values.empty() && kept->at(0).reference_logprobs.empty());
  EXPECT_TRUE(ledger_->SetReference("run", 1, {}, {{0, {-3, -4}}}).ok());
}

TEST_F(SqliteLedgerTest, VersionsAreNeverGivenTwice) {
  EXPECT_EQ(*ledger_->StepVersion("a", 1, 0), 1);
  EXPECT_EQ(*ledger_->StepVersion("a", 2, 0), 2);
  EXPECT_EQ(*ledger_->StepVersion("a", 1, 0), 1) << "the same step keeps its version";
  EXPECT_EQ(*ledger_->StepVersion("b", 1, 0), 3);
  Reopen();
  EXPECT_EQ(*ledger_->NewVersion(0), 4);
  EXPECT_EQ(*ledger_->StepVersion("b", 1, 0), 3);
  EXPECT_EQ(*ledger_->NewVersion(40), 41) << "above what the nodes have";
}

TEST_F(SqliteLedgerTest, StepsComeInPagesAndTheLastOneAlone) {
  EXPECT_FALSE(ledger_->LastStep("run")->has_value());
  for (int step = 1; step <= 5; ++step) {
    ASSERT_TRUE(
        ledger_->CommitStep("run", {.step = step, .adapter = {step, absl::StrCat("h", step)}})
            .ok());
  }
  ASSERT_TRUE(ledger_->StepVersion("run", 6, 0).ok());
  const auto numbers = [&](int after, int limit) {
    std::vector<int> steps;
    const auto page = ledger_->Steps("run", after, limit);
    for (const StepRecord& step : *page) steps.push_back(step.step);
    return steps;
  };
  EXPECT_EQ(numbers(0, 2), (std::vector<int>{1, 2}));
  EXPECT_EQ(numbers(2, 2), (std::vector<int>{3, 4}));
  EXPECT_EQ(numbers(4, 2), (std::vector<int>{5}));
  EXPECT_EQ(numbers(5, 2), std::vector<int>());
  const auto last = ledger_->LastStep("run");
  ASSERT_TRUE(last.ok() && last->has_value()) << last.status();
  EXPECT_EQ((*last)->step, 5) << "a version is no commit";
  EXPECT_EQ((*last)->adapter.sha256, "h5");
  EXPECT_FALSE(ledger_->LastStep("other")->has_value());
}

TEST_F(SqliteLedgerTest, CommittingAgainChangesNothing) {
  StepRecord record{.step = 1, .adapter = {1, "aa"}, .adapter_path = "/x", .score_mean = 0.25};
  record.stats = {{"objective/kl", 0.5}, {"nan", std::nan("")}};
  record.phase_seconds = {{"train", 2}};
  ASSERT_TRUE(ledger_->StepVersion("run", 1, 0).ok());
  EXPECT_TRUE(ledger_->Steps("run", 0, kAllSteps)->empty()) << "a version is no commit";
  ASSERT_TRUE(ledger_->CommitStep("run", record).ok());
  record.score_mean = 9;
  ASSERT_TRUE(ledger_->CommitStep("run", record).ok());
  Reopen();
  const auto steps = ledger_->Steps("run", 0, kAllSteps);
  ASSERT_TRUE(steps.ok()) << steps.status();
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ((*steps)[0].score_mean, 0.25);
  EXPECT_EQ((*steps)[0].adapter_path, "/x");
  EXPECT_EQ((*steps)[0].stats.at("objective/kl"), 0.5);
  EXPECT_TRUE(std::isnan((*steps)[0].stats.at("nan")));
  EXPECT_EQ((*steps)[0].phase_seconds.at("train"), 2);
  EXPECT_TRUE(ledger_->Steps("run", 1, kAllSteps)->empty());
}

TEST_F(SqliteLedgerTest, OldRolloutsAreDropped) {
  for (int step = 1; step <= 5; ++step) {
    ASSERT_TRUE(ledger_->AddRollouts("run", step, {MakeRollout(step, 10)}).ok());
    ASSERT_TRUE(ledger_->CommitStep("run", {.step = step}).ok());
  }
  EXPECT_TRUE(ledger_->Rollouts("run", 2)->empty());
  EXPECT_EQ(ledger_->Rollouts("run", 3)->size(), 1u);
  EXPECT_EQ(ledger_->Rollouts("run", 5)->size(), 1u);
}

TEST_F(SqliteLedgerTest, OneRunIsRunningAndARequestIdIsARun) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "a", .request_id = "r1", .spec = "x"}).ok());
  const auto again = ledger_->CreateRun({.run_id = "b", .request_id = "r1", .spec = "y"});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->run_id, "a");
  const auto second = ledger_->CreateRun({.run_id = "c", .request_id = "r2", .spec = "z"});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("run a is running"));
  ASSERT_TRUE(ledger_->SetRunState("a", RunState::kStopped, "").ok());
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "c", .request_id = "", .spec = "z"}).ok());
  EXPECT_EQ(ledger_->SetRunState("a", RunState::kRunning, "").code(),
            absl::StatusCode::kFailedPrecondition);
  Reopen();
  const auto runs = ledger_->ListRuns();
  ASSERT_TRUE(runs.ok());
  ASSERT_EQ(runs->size(), 2u);
  EXPECT_EQ((*runs)[0].run_id, "c") << "newest first";
  EXPECT_EQ((*runs)[1].spec, "x");
  EXPECT_EQ(ledger_->GetRun("")->run_id, "c");
  EXPECT_EQ(ledger_->GetRun("nope").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ledger_->SetRunState("nope", RunState::kDone, "").code(), absl::StatusCode::kNotFound);
}

TEST_F(SqliteLedgerTest, KeepsThePinnedModelsOfEachRun) {
  EXPECT_EQ(*ledger_->Pins("a"), RunPins());
  RunPins pins{
      .models = {{NodeRole::kPolicy, {"aa", "float32"}}, {NodeRole::kReward, {"bb", ""}}},
      .canaries = {{NodeRole::kReward, {{"nothate", "hate \xe2\x98\x83"}, {{1.25f, -0.1f}, {}}}},
                   {NodeRole::kJudge, {{"kind"}, {{0.5f}}}}},
      .toxic_label = "hate",
      .devices = {{NodeRole::kPolicy, {"cpu", "cuda"}}, {NodeRole::kReward, {"cpu"}}}};
  ASSERT_TRUE(ledger_->SetPins("a", {}).ok());
  ASSERT_TRUE(ledger_->SetPins("a", pins).ok());
  EXPECT_EQ(*ledger_->Pins("a"), pins);
  EXPECT_EQ(*ledger_->Pins("b"), RunPins());
}

TEST_F(SqliteLedgerTest, KeepsTheNewestAdapterOfEachRunWithItsCanary) {
  AdapterRecord record{.ref = {1, "aa"}, .run_id = "a", .folder = "/f1"};
  record.canary = {{{{5, 1}, {6, 7}}}, {{-0.5f, -2.0f}}, 1e-4};
  ASSERT_TRUE(ledger_->RecordAdapter(record).ok());
  record.ref = {2, "bb"};
  ASSERT_TRUE(ledger_->RecordAdapter(record).ok());
  record.ref = {3, "cc"};
  record.run_id = "b";
  ASSERT_TRUE(ledger_->RecordAdapter(record).ok());
  ASSERT_TRUE(ledger_->RecordAdapter({.ref = {0, ""}, .run_id = "c"}).ok());
  Reopen();
  EXPECT_EQ((*ledger_->NewestAdapter())->ref, (AdapterRef{3, "cc"}));
  const auto of_a = ledger_->NewestAdapterOf("a");
  ASSERT_TRUE(of_a.ok() && of_a->has_value());
  EXPECT_EQ((*of_a)->ref, (AdapterRef{2, "bb"}));
  EXPECT_THAT((*of_a)->canary.pairs.at(0).target_ids, ElementsAre(6, 7));
  EXPECT_THAT((*of_a)->canary.expected.at(0), ElementsAre(-0.5f, -2.0f));
  EXPECT_EQ((*of_a)->canary.bound, 1e-4);
  EXPECT_EQ((*ledger_->NewestAdapterOf("c"))->ref.version, 0);
  EXPECT_FALSE(ledger_->NewestAdapterOf("none")->has_value());
}

TEST_F(SqliteLedgerTest, KeepsTheAdapterOfEveryStepUntilItIsDropped) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "a", .spec = "s"}).ok());
  ASSERT_TRUE(ledger_->SetRunStart("a", {1, "start"}).ok());
  const auto record = [&](int64_t version, const std::string& sha256, const std::string& folder) {
    return ledger_->RecordAdapter({.ref = {version, sha256}, .run_id = "a", .folder = folder}).ok();
  };
  ASSERT_TRUE(record(1, "start", "/v1"));
  for (int step = 1; step <= 3; ++step) {
    const std::string sha256 = absl::StrCat("h", step);
    ASSERT_TRUE(record(step + 1, sha256, absl::StrCat("/v", step + 1)));
    ASSERT_TRUE(ledger_
                    ->CommitStep("a", {.step = step,
                                       .adapter = {step + 1, sha256},
                                       .adapter_path = absl::StrCat("/learner/", step)})
                    .ok());
  }
  ASSERT_TRUE(record(9, "h2", "/v3")) << "published again, as another run was in between";
  ASSERT_TRUE(record(10, "trained", "/v10")) << "not committed yet";
  Reopen();
  std::vector<std::string> kept;
  const std::vector<KeptAdapter> adapters = *ledger_->KeptAdapters();
  for (const KeptAdapter& adapter : adapters)
    kept.push_back(absl::StrCat(adapter.ref.version, " ", adapter.ref.sha256, " ", adapter.step,
                                " ", adapter.folder, " ", adapter.learner_path));
  EXPECT_THAT(kept, ElementsAre("1 start 0 /v1 ", "2 h1 1 /v2 /learner/1", "4 h3 3 /v4 /learner/3",
                                "9 h2 2 /v3 /learner/2"));
  EXPECT_EQ((*ledger_->FindAdapter(4))->folder, "/v4");
  EXPECT_FALSE(ledger_->FindAdapter(77)->has_value());

  EXPECT_THAT(*ledger_->DropAdapters("a", 3), ElementsAre("/v10", "/v3", "/v4"));
  EXPECT_FALSE(ledger_->FindAdapter(2)->has_value());
  EXPECT_EQ((*ledger_->FindAdapter(3))->ref.sha256, "h2") << "the folder is still there";
}

TEST_F(SqliteLedgerTest, AStepWithATripSurvivesAndTakesTheRolloutsAfterItAlong) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "run", .spec = "s"}).ok());
  StepRecord record{.step = 1, .adapter = {1, "h1"}, .score_sd = 0.1, .repetition_mean = 0.2};
  record.judge = JudgeFigures{0.3, 0.4, -0.5};
  record.committed_ms = 1'700'000'000'123;
  ASSERT_TRUE(ledger_->CommitStep("run", record).ok());
  ASSERT_TRUE(ledger_->AddRollouts("run", 2, {MakeRollout(8, 10)}).ok());
  ASSERT_TRUE(ledger_->AddRollouts("run", 3, {MakeRollout(16, 10)}).ok());
  const GuardTrip trip{.step = 2,
                       .good_step = 0,
                       .good = {3, ""},
                       .check = "kl_max",
                       .value = 0.1,
                       .bound = 30,
                       .reason = "too far"};
  ASSERT_TRUE(ledger_->CommitStep("run", {.step = 2, .adapter = {2, "h2"}, .trip = trip}).ok());
  Reopen();
  EXPECT_THAT(*ledger_->Trips("run"), ElementsAre(trip));
  EXPECT_TRUE(ledger_->Trips("other")->empty());
  EXPECT_EQ(ledger_->Rollouts("run", 2)->size(), 1u);
  EXPECT_TRUE(ledger_->Rollouts("run", 3)->empty()) << "sampled by what is given up";
  const std::vector<StepRecord> steps = *ledger_->Steps("run", 0, kAllSteps);
  EXPECT_EQ(steps[0].score_sd, 0.1);
  EXPECT_EQ(steps[0].repetition_mean, 0.2);
  ASSERT_TRUE(steps[0].judge.has_value());
  EXPECT_EQ(steps[0].judge->gap, -0.5);
  EXPECT_EQ(steps[0].committed_ms, 1'700'000'000'123);
  EXPECT_FALSE(steps[0].trip.has_value());
  EXPECT_EQ(steps[1].trip, trip);
  EXPECT_FALSE(steps[1].judge.has_value());
  EXPECT_EQ((*ledger_->LastStep("run"))->trip, trip);

  ASSERT_TRUE(ledger_->SetTripGood("run", 2, {3, "fresh"}, "/learner/0").ok());
  ASSERT_TRUE(ledger_->SetRunState("run", RunState::kStopped, "why").ok());
  EXPECT_FALSE(ledger_->Trips("run")->at(0).goes_on);
  ASSERT_TRUE(ledger_->SetRunState("run", RunState::kRunning, "").ok());
  const GuardTrip resumed = ledger_->Trips("run")->at(0);
  EXPECT_TRUE(resumed.goes_on);
  EXPECT_EQ(resumed.good, (AdapterRef{3, "fresh"}));
  EXPECT_EQ(resumed.good_path, "/learner/0");
  // What the run went back to is one of its adapters, though no step made it.
  ASSERT_TRUE(ledger_->RecordAdapter({{3, "fresh"}, "run", "/v3", {}}).ok());
  const std::vector<KeptAdapter> kept = *ledger_->KeptAdapters();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].ref.version, 3);
  EXPECT_EQ(kept[0].step, 0);
}

TEST_F(SqliteLedgerTest, ARunHasTheTimesOfItsBeginningAndItsEnd) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "a", .spec = "s"}).ok());
  const RunRecord run = *ledger_->GetRun("a");
  EXPECT_GT(run.created_ms, 1'600'000'000'000);
  EXPECT_EQ(run.ended_ms, 0);
  ASSERT_TRUE(ledger_->SetRunState("a", RunState::kStopped, "").ok());
  EXPECT_GE(ledger_->GetRun("a")->ended_ms, run.created_ms);
  ASSERT_TRUE(ledger_->SetRunState("a", RunState::kRunning, "").ok());
  EXPECT_EQ(ledger_->GetRun("a")->ended_ms, 0);
  EXPECT_EQ(ledger_->GetRun("a")->created_ms, run.created_ms);
}

TEST_F(SqliteLedgerTest, ARunOfEachMethodMayBeRunning) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "ppo", .spec = "p"}).ok());
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "sft", .spec = "s", .method = Method::kSft}).ok());
  const auto second = ledger_->CreateRun({.run_id = "sft-2", .spec = "s", .method = Method::kSft});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("run sft is running"));
  ASSERT_TRUE(ledger_->SetRunState("sft", RunState::kStopped, "").ok());
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "sft-2", .spec = "s", .method = Method::kSft}).ok());
  EXPECT_EQ(ledger_->SetRunState("sft", RunState::kRunning, "").code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(SqliteLedgerTest, ASupervisedRunSurvivesWithItsStepsFromStepZeroOn) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "sft", .spec = "s", .method = Method::kSft}).ok());
  const std::string bytes("\0\xff\x7f", 3);
  ASSERT_TRUE(ledger_->SetProgress("sft", bytes).ok());
  StepRecord step;
  step.sft = bytes;
  ASSERT_TRUE(ledger_->CommitStep("sft", step).ok());
  EXPECT_EQ((*ledger_->LastStep("sft"))->step, 0);
  step.step = 1;
  step.seconds = 2.5;
  step.sft = "one";
  ASSERT_TRUE(ledger_->CommitStep("sft", step).ok());
  step.sft = "again";
  ASSERT_TRUE(ledger_->CommitStep("sft", step).ok());
  Reopen();
  const auto run = ledger_->GetRun("sft");
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->method, Method::kSft);
  EXPECT_EQ(run->progress, bytes);
  const auto steps = ledger_->Steps("sft", kBeforeAllSteps, kAllSteps);
  ASSERT_EQ(steps->size(), 2u);
  EXPECT_EQ((*steps)[0].sft, bytes);
  EXPECT_EQ((*steps)[1].sft, "one") << "a step that comes again changes nothing";
  EXPECT_EQ((*steps)[1].seconds, 2.5);
}

TEST_F(SqliteLedgerTest, ALedgerFromBeforeThereWereMethodsIsReadAndGoesOn) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "old", .spec = "spec"}).ok());
  ASSERT_TRUE(ledger_->CommitStep("old", {.step = 1, .adapter = {1, "ab"}}).ok());
  ledger_.reset();
  {
    auto database = sqlite::Database::Open(folder_ / "ledger.db");
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)->Execute("DROP TABLE methods").ok());
  }
  Reopen();
  const auto run = ledger_->GetRun("old");
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->method, Method::kPpo);
  EXPECT_EQ(run->spec, "spec");
  EXPECT_EQ((*ledger_->LastStep("old"))->adapter.sha256, "ab");
  EXPECT_TRUE(ledger_->CreateRun({.run_id = "new", .spec = "s", .method = Method::kSft}).ok());
}

TEST_F(SqliteLedgerTest, ALedgerOfSchemaOneIsMadeOneOfTwoAndNoOlderProgramOpensIt) {
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "old", .spec = "spec"}).ok());
  ASSERT_TRUE(ledger_->CommitStep("old", {.step = 1, .adapter = {1, "ab"}}).ok());
  ledger_.reset();
  const auto query = [&](const std::string& sql) {
    auto database = sqlite::Database::Open(folder_ / "ledger.db");
    EXPECT_TRUE(database.ok()) << database.status();
    auto statement = (*database)->Prepare(sql);
    EXPECT_TRUE(statement.ok()) << statement.status();
    const auto row = statement->Step();
    EXPECT_TRUE(row.ok()) << row.status();
    return row.ok() && *row ? statement->Int(0) : -1;
  };
  {
    auto database = sqlite::Database::Open(folder_ / "ledger.db");
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)
                    ->Execute("UPDATE meta SET value = 1 WHERE key = 'schema_version';"
                              "DROP TABLE guard_trips; DROP INDEX steps_by_sha256")
                    .ok());
  }
  Reopen();
  EXPECT_EQ((*ledger_->LastStep("old"))->adapter.sha256, "ab");
  EXPECT_TRUE(ledger_->Trips("old")->empty());
  ledger_.reset();
  EXPECT_EQ(query("SELECT value FROM meta WHERE key = 'schema_version'"), 2);
  EXPECT_EQ(query("SELECT COUNT(*) FROM sqlite_master WHERE name = 'steps_by_sha256'"), 1);
}

// Without the index each adapter is compared with each step: 22 s of these.
TEST_F(SqliteLedgerTest, TheAdaptersOfTenThousandStepsAreListedInAMoment) {
  constexpr int kSteps = 10000;
  ASSERT_TRUE(ledger_->CreateRun({.run_id = "a", .spec = "spec"}).ok());
  ASSERT_TRUE(
      ledger_->CommitStep("a", {.step = 1, .adapter = {1, "first"}, .adapter_path = "/l"}).ok());
  ASSERT_TRUE(ledger_->RecordAdapter({.ref = {1, "first"}, .run_id = "a", .folder = "/f"}).ok());
  ledger_.reset();
  {
    auto database = sqlite::Database::Open(folder_ / "ledger.db");
    ASSERT_TRUE(database.ok()) << database.status();
    const std::string numbers = absl::StrCat(
        "WITH RECURSIVE numbers(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM numbers WHERE i < ",
        kSteps, ") ");
    ASSERT_TRUE((*database)
                    ->Execute(absl::StrCat(
                        numbers,
                        "INSERT INTO steps SELECT 'a', i, i, 1, printf('%064x', i), record FROM "
                        "numbers, (SELECT record FROM steps); ",
                        numbers,
                        "INSERT INTO adapters SELECT i, printf('%064x', i), 'a', '/f' || i, canary "
                        "FROM numbers, (SELECT canary FROM adapters)"))
                    .ok());
  }
  Reopen();
  const SteadyTime began = SteadyTime::Now();
  const auto kept = ledger_->KeptAdapters();
  EXPECT_LT(SteadyTime::Now() - began, absl::Seconds(5));
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_EQ(kept->size(), size_t{kSteps});
  EXPECT_EQ(kept->back().step, kSteps);
  EXPECT_EQ(kept->back().learner_path, "/l");
}

TEST_F(SqliteLedgerTest, ASecondProcessOnTheSameFileIsRefused) {
  const auto second = SqliteLedger::Open(folder_ / "ledger.db");
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("ledger.db"));
}

TEST_F(SqliteLedgerTest, ACorruptFileIsAClearError) {
  ASSERT_TRUE(ledger_->AddRollouts("run", 1, {MakeRollout(0, 1)}).ok());
  ledger_.reset();
  {
    std::fstream file(folder_ / "ledger.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    for (int i = 0; i < 8192; ++i) file.put('\x5a');
  }
  const auto opened = SqliteLedger::Open(folder_ / "ledger.db");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << opened.status();
}

TEST(SqliteLedgerFileTest, AFileThatIsNoDatabaseIsDataLoss) {
  testing::TempFolder folder;
  std::ofstream(folder / "ledger.db") << std::string(5000, 'x');
  const auto opened = SqliteLedger::Open(folder / "ledger.db");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << opened.status();
}

TEST(SqliteLedgerFileTest, ALedgerOfANewerProgramIsRefused) {
  testing::TempFolder folder;
  {
    auto database = sqlite::Database::Open(folder / "ledger.db");
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)
                    ->Execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);"
                              "INSERT INTO meta VALUES ('schema_version', 99);"
                              "CREATE TABLE adapters (version INTEGER, sha256 TEXT)")
                    .ok());
  }
  const auto opened = SqliteLedger::Open(folder / "ledger.db");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  // The number is told before the first column that is another.
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("schema 99, this program knows 2"));
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("another --data-dir"));
}

TEST(SqliteLedgerFileTest, ALedgerWithOtherColumnsIsRefusedWithTheWayOut) {
  testing::TempFolder folder;
  {
    auto database = sqlite::Database::Open(folder / "ledger.db");
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)
                    ->Execute("CREATE TABLE adapters (version INTEGER, sha256 TEXT, folder TEXT)")
                    .ok());
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto opened = SqliteLedger::Open(folder / "ledger.db");
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition) << opened.status();
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr("run_id"));
    EXPECT_THAT(std::string(opened.status().message()), HasSubstr("another --data-dir"));
  }
}

TEST(SqliteLedgerFileTest, AFolderThatIsNotThereIsNamed) {
  const auto opened = SqliteLedger::Open("/nonexistent/ledger.db");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("/nonexistent/ledger.db"));
}

}  // namespace
}  // namespace mellow::orchestrator
