#include "services/cli/cluster/run_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mellow::cli {
namespace {

using RunMessage = orchestrator::v1::Run;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunMessage MakeRun(const std::string& id, const std::string& name, orchestrator::v1::RunState state,
                   int steps = 5) {
  RunMessage run;
  run.set_run_id(id);
  run.mutable_spec()->set_name(name);
  run.set_state(state);
  run.set_committed_steps(steps);
  return run;
}

std::vector<RunMessage> MakeRuns() {
  return {MakeRun("run-20240103-000000-aaaa0001", "mini", orchestrator::v1::RUN_STATE_FAILED, 0),
          MakeRun("run-20240102-000000-bbbb0001", "mini", orchestrator::v1::RUN_STATE_STOPPED),
          MakeRun("run-20240102-000000-bbbb0002", "other", orchestrator::v1::RUN_STATE_DONE)};
}

TEST(FindRunTest, TakesAnIdItsBeginningANameOrTheNewest) {
  const std::vector<RunMessage> runs = MakeRuns();
  const auto found = [&](const std::string& name) {
    const auto run = FindRun(runs, name);
    return run.ok() ? run->run_id() : std::string(run.status().message());
  };
  EXPECT_EQ(found("newest"), runs[0].run_id());
  EXPECT_EQ(found(runs[1].run_id()), runs[1].run_id());
  EXPECT_EQ(found("run-20240103"), runs[0].run_id());
  EXPECT_EQ(found("other"), runs[2].run_id());
  EXPECT_EQ(FindRun(runs, "newest", HasSteps)->run_id(), runs[1].run_id());
  EXPECT_EQ(FindRun(runs, "newest", [](const RunMessage&) { return false; })->run_id(),
            runs[0].run_id());
}

TEST(FindRunTest, NamesTheCandidatesOfWhatIsAmbiguousOrUnknown) {
  const std::vector<RunMessage> runs = MakeRuns();
  for (const char* name : {"run-20240102", "mini"}) {
    const absl::Status status = FindRun(runs, name).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("run-20240102-000000-bbbb0001 (mini)"));
  }
  const absl::Status unknown = FindRun(runs, "x").status();
  EXPECT_TRUE(absl::IsNotFound(unknown));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("run-20240103-000000-aaaa0001 (mini), "));
  EXPECT_TRUE(absl::IsNotFound(FindRun({}, "newest").status()));
}

TEST(ShortIdsTest, AreAsLongAsTheyMustBe) {
  const std::vector<RunMessage> runs = MakeRuns();
  EXPECT_THAT(ShortIds(runs),
              ElementsAre("run-20240103-000000-aaaa0001", "run-20240102-000000-bbbb0001",
                          "run-20240102-000000-bbbb0002"));
  EXPECT_THAT(ShortIds({runs.data(), 2}),
              ElementsAre("run-20240103-000000", "run-20240102-000000"));
  EXPECT_TRUE(ShortIds({}).empty());
}

TEST(FindKeptTest, FindsAStepOrSaysWhichThereAre) {
  KeptAdapters kept = {.runs = MakeRuns(), .adapters = {}};
  for (const int step : {1, 2, 3, 5}) {
    orchestrator::v1::KeptAdapter& adapter = kept.adapters.emplace_back();
    adapter.set_run_id(kept.runs[1].run_id());
    adapter.set_step(step);
    adapter.set_has_files(step != 5);
    adapter.mutable_adapter()->set_version(step + 10);
  }
  EXPECT_EQ(FindKept(kept, {"newest", 2})->adapter().version(), 12)
      << "a run without a step is not what is meant";
  const absl::Status gone = FindKept(kept, {"run-20240102-000000-bbbb0001", 5}).status();
  EXPECT_TRUE(absl::IsNotFound(gone));
  EXPECT_THAT(std::string(gone.message()), HasSubstr("is not kept; kept are steps 1 to 3 of run-"));
  EXPECT_THAT(std::string(FindKept(kept, {"newest", 9}).status().message()),
              HasSubstr("no such step is committed"));
  EXPECT_THAT(std::string(FindKept(kept, {"x", 1}).status().message()), HasSubstr("x@1: RUN x"));
  kept.runs[1].mutable_spec()->mutable_sft();
  EXPECT_THAT(std::string(FindKept(kept, {"newest", 1}).status().message()),
              HasSubstr("a supervised run"));
}

TEST(NoSuchVersionTest, NamesWhatNodesServeAndWhatIsKept) {
  KeptAdapters kept;
  for (const int64_t version : {2, 3, 4, 5}) {
    orchestrator::v1::KeptAdapter& adapter = kept.adapters.emplace_back();
    adapter.mutable_adapter()->set_version(version);
    adapter.set_has_files(version > 3);
  }
  EXPECT_EQ(NoSuchVersion(9, {0, 5, 7}, kept).message(),
            "no adapter version 9; there are 0, 4 to 5, 7 (`mellow adapters`)");
  EXPECT_EQ(
      NoSuchVersion(3, {}, kept).message(),
      "no adapter version 3 anymore, its files are gone; there are 4 to 5 (`mellow adapters`)");
  EXPECT_TRUE(absl::IsNotFound(NoSuchVersion(3, {}, {})));
}

}  // namespace
}  // namespace mellow::cli
