#include "services/orchestrator/nodes/orchestrator_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class OrchestratorMetricsTest : public ::testing::Test {
 protected:
  static NodeStatus Policy(NodeState state) {
    NodeStatus node;
    node.report.role = NodeRole::kPolicy;
    node.report.capacity.device = "cpu";
    node.state = state;
    return node;
  }
  std::string Nodes(const std::string& state) const {
    return "mellow_orchestrator_nodes{device=\"cpu\",role=\"policy\",state=\"" + state + "\"} ";
  }
  obs::Metrics registry_;
  OrchestratorMetrics metrics_{&registry_};
};

TEST_F(OrchestratorMetricsTest, WhatCanGoWrongIsZeroBeforeItDoes) {
  EXPECT_THAT(registry_.Text(),
              HasSubstr("mellow_orchestrator_canary_failures_total{node=\"\"} 0"));
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_orchestrator_leases_total{result=\"lost\"} 0"));
  metrics_.SetNodes({Policy(NodeState::kReady)});
  EXPECT_THAT(registry_.Text(), HasSubstr(Nodes("ready") + "1\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr(Nodes("lost") + "0\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr(Nodes("quarantined") + "0\n"));
  EXPECT_THAT(registry_.Text(), Not(HasSubstr("role=\"reward\"")));
}

TEST_F(OrchestratorMetricsTest, ANodeCountsInItsStateAlone) {
  metrics_.SetNodes({Policy(NodeState::kReady), Policy(NodeState::kLost)});
  metrics_.SetNodes({Policy(NodeState::kLost), Policy(NodeState::kLost)});
  EXPECT_THAT(registry_.Text(), HasSubstr(Nodes("ready") + "0\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr(Nodes("lost") + "2\n"));
  metrics_.SetNodes({});
  EXPECT_THAT(registry_.Text(), HasSubstr(Nodes("lost") + "0\n"));
}

TEST_F(OrchestratorMetricsTest, AKlTargetIsOfOneReference) {
  const auto target = [&](const std::string& run, const std::string& reference) {
    return "mellow_ppo_kl_target{reference=\"" + reference + "\",run=\"" + run + "\"} ";
  };
  metrics_.SetKlTarget("a", 6, /*reference_is_start=*/true);
  EXPECT_THAT(registry_.Text(), HasSubstr(target("a", "start") + "6\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr(target("a", "base") + "0\n"));
  metrics_.SetKlTarget("b", 4, /*reference_is_start=*/false);
  EXPECT_THAT(registry_.Text(), HasSubstr(target("b", "start") + "0\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr(target("b", "base") + "4\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr(target("a", "start") + "6\n"));
}

TEST_F(OrchestratorMetricsTest, TheKlOfTheFirstStepStays) {
  for (const int step : {1, 2, 3})
    metrics_.SetStep("a", {.step = step, .stats = {{"objective/kl", 10.0 * step}}});
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_first_kl{run=\"a\"} 10\n"));
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_objective_kl{run=\"a\"} 30\n"));
}

TEST_F(OrchestratorMetricsTest, TripsCountByTheirCheckAndTheJudgeShowsWhereThereIsOne) {
  metrics_.SetGuardTrips("a", {});
  EXPECT_THAT(registry_.Text(),
              HasSubstr("mellow_ppo_guard_trips{check=\"max_repetition\",run=\"a\"} 0"));
  metrics_.SetGuardTrips("a", {GuardTrip{.check = "kl_max"}, GuardTrip{.check = "kl_max"}});
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_guard_trips{check=\"kl_max\",run=\"a\"} 2"));
  StepRecord step{.step = 1, .repetition_mean = 0.25};
  metrics_.SetStep("a", step);
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_repetition_mean{run=\"a\"} 0.25"));
  EXPECT_THAT(registry_.Text(), Not(HasSubstr("mellow_ppo_judge")));
  step.judge = JudgeFigures{.score_mean = 0.5, .gap = 0.75};
  metrics_.SetStep("a", step);
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_judge_score_mean{run=\"a\"} 0.5"));
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_judge_gap{run=\"a\"} 0.75"));
}

TEST_F(OrchestratorMetricsTest, RunsAreShownBesideEachOtherAndTheOldestGo) {
  StepRecord step{.step = 3, .score_mean = 0.5, .stats = {{"objective/kl", 2}}};
  for (const char* run : {"a", "b", "c", "d", "e"}) {
    metrics_.SetRunState(run, Method::kPpo, RunState::kRunning);
    metrics_.SetStep(run, step);
    metrics_.SetRunState(run, Method::kPpo, RunState::kDone);
  }
  EXPECT_THAT(registry_.Text(), Not(HasSubstr("run=\"a\"")));
  for (const char* run : {"b", "c", "d", "e"}) {
    const std::string label = absl::StrCat("run=\"", run, "\"");
    EXPECT_THAT(registry_.Text(), HasSubstr("mellow_ppo_objective_kl{" + label + "} 2\n"));
    EXPECT_THAT(registry_.Text(),
                HasSubstr("mellow_orchestrator_run_state{" + label + ",state=\"done\"} 1\n"));
    EXPECT_THAT(registry_.Text(),
                HasSubstr("mellow_orchestrator_run_state{" + label + ",state=\"running\"} 0\n"));
    EXPECT_THAT(registry_.Text(), HasSubstr("mellow_orchestrator_newest_run{" + label +
                                            (*run == 'e' ? "} 1\n" : "} 0\n")));
  }
  metrics_.SetRunState("b", Method::kPpo, RunState::kRunning);
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_orchestrator_newest_run{run=\"b\"} 1\n"))
      << "it was resumed";
  metrics_.SetRunState("a", Method::kPpo, RunState::kRunning);
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_orchestrator_newest_run{run=\"a\"} 1\n"));
  EXPECT_THAT(registry_.Text(), Not(HasSubstr("mellow_ppo_objective_kl{run=\"a\"}")))
      << "its last step is not known anymore";
}

TEST_F(OrchestratorMetricsTest, SupervisedRunsHaveStatesAndDriveNoPpoRunAway) {
  metrics_.SetRunState("ppo", Method::kPpo, RunState::kRunning);
  for (const char* run : {"sft-1", "sft-2", "sft-3", "sft-4", "sft-5"})
    metrics_.SetRunState(run, Method::kSft, RunState::kRunning);
  metrics_.SetRunState("sft-5", Method::kSft, RunState::kFailed);
  const std::string text = registry_.Text();
  EXPECT_THAT(text, HasSubstr("mellow_orchestrator_run_state{run=\"ppo\",state=\"running\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mellow_orchestrator_run_state{run=\"sft-5\",state=\"failed\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mellow_orchestrator_newest_run{run=\"sft-5\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("mellow_orchestrator_newest_run{run=\"ppo\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("run=\"sft-1\"")));
  EXPECT_THAT(text, Not(HasSubstr("mellow_ppo_")));
}

TEST_F(OrchestratorMetricsTest, SaysTheAdapterThatNodesMustHave) {
  EXPECT_THAT(registry_.Text(), Not(HasSubstr("target_adapter_version")));
  metrics_.SetTarget({.version = 4});
  EXPECT_THAT(registry_.Text(), HasSubstr("mellow_orchestrator_target_adapter_version 4\n"));
}

}  // namespace
}  // namespace mellow::orchestrator
