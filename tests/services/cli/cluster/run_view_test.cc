#include "services/cli/cluster/run_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace mellow::cli {
namespace {

using RunMessage = orchestrator::v1::Run;
using ::testing::HasSubstr;

RunMessage MakeRun() {
  RunMessage run;
  run.set_run_id("run-20240131-115959-deadbeef");
  run.mutable_spec()->set_name("a-name-of-some-length");
  run.set_state(orchestrator::v1::RUN_STATE_DONE);
  run.set_committed_steps(1000);
  run.set_total_steps(1000);
  run.mutable_created()->set_seconds(1706702400);  // 2024-01-31 12:00:00
  run.mutable_ended()->set_seconds(1706702405);
  run.mutable_last_step()->set_score_mean(-12345.6);
  run.mutable_last_step()->set_objective_kl(1e-5);
  return run;
}

TEST(RunsTextTest, ShowsEachRunBelowEightyColumns) {
  RunMessage failed = MakeRun();
  failed.set_run_id("run-20240131-115959-0eadbeef");
  failed.set_state(orchestrator::v1::RUN_STATE_FAILED);
  failed.set_committed_steps(0);
  failed.clear_last_step();
  failed.set_error(
      "start_adapter: /nowhere: no such folder, and more words than fit into one line");
  RunMessage supervised = MakeRun();
  supervised.set_run_id("run-20240130-115959-deadbee1");
  supervised.mutable_spec()->mutable_sft();
  supervised.mutable_sft()->set_best_step(40);
  supervised.mutable_sft()->set_best_dev_loss(0.5);
  supervised.clear_ended();
  supervised.set_state(orchestrator::v1::RUN_STATE_RUNNING);
  supervised.set_activity("training");
  const std::string text = RunsText({failed, MakeRun(), supervised}, ".mellow");
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const std::string& line : lines) EXPECT_LT(line.size(), 80u) << line;
  EXPECT_THAT(lines[0], HasSubstr("METHOD  STATE"));
  EXPECT_THAT(text, HasSubstr("FAILED"));
  EXPECT_THAT(text, HasSubstr("  why: start_adapter: /nowhere: no such folder"));
  EXPECT_THAT(text, HasSubstr("2024-01-31 12:00:00 to 12:00:05 UTC (5 s)"));
  EXPECT_THAT(text, HasSubstr("-12346"));
  EXPECT_THAT(text, HasSubstr("1.0e-05"));
  EXPECT_THAT(text, HasSubstr("lowest dev loss 0.5000 after step 40, training"));
  EXPECT_EQ(RunsText({}, ".mellow"), "no run yet\n");
}

TEST(RunsTextTest, TellsWhenTheGuardTookARunBack) {
  RunMessage run = MakeRun();
  for (const char* reason : {"guard.kl_max: the KL is 40, the bound is 30; back to step 3",
                             "guard.max_repetition: 0.9; back to step 12"}) {
    orchestrator::v1::GuardTrip* trip = run.add_guard_trips();
    trip->set_step(run.guard_trips_size() * 10);
    trip->set_check("kl_max");
    trip->set_reason(reason);
  }
  run.set_state(orchestrator::v1::RUN_STATE_STOPPED);
  run.set_error("stopped by its guard: guard.max_repetition: 0.9; back to step 12");
  const std::string text = RunsText({run}, "mine");
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    EXPECT_LT(line.size(), 80u) << line;
  EXPECT_THAT(text, HasSubstr("  went back after step 10: guard.kl_max: "));
  EXPECT_THAT(text, HasSubstr("  why: stopped by its guard: guard.max_repetition: 0.9;"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("after step 20"))) << "said once";
  EXPECT_THAT(absl::StrReplaceAll(text, {{"\n  ", " "}}),
              HasSubstr("its best step is found by: mellow evaluate EVAL.json --steps-of run-"));
  EXPECT_THAT(text, HasSubstr("--every 200 --dir mine"));
  EXPECT_EQ(RunJson(run)["guard_trips"].size(), 2u);
}

TEST(RunJsonTest, HasNullForWhatIsNotKnown) {
  const json::Value done = RunJson(MakeRun());
  EXPECT_EQ(json::Write(done["created"]), "\"2024-01-31T12:00:00Z\"");
  EXPECT_EQ(json::Write(done["ended"]), "\"2024-01-31T12:00:05Z\"");
  EXPECT_EQ(json::Write(done["score_mean"]), "-12345.6");
  EXPECT_EQ(json::Write(done["dev_loss"]), "null");
  const json::Value fresh = RunJson(RunMessage());
  for (const char* field : {"created", "ended", "score_mean", "objective_kl"})
    EXPECT_TRUE(fresh.Has(field) && fresh[field].is_null()) << field;
}

}  // namespace
}  // namespace mellow::cli
