// Who retries what: every status at every call of a run, against the table of retry.h.

#include "services/orchestrator/nodes/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "absl/strings/match.h"
#include "tests/services/orchestrator/orchestrator_fixture.h"
#include "tests/testing/temp_folder.h"

namespace mellow::orchestrator {
namespace {

constexpr absl::StatusCode kCodes[] = {
    absl::StatusCode::kCancelled,          absl::StatusCode::kUnknown,
    absl::StatusCode::kInvalidArgument,    absl::StatusCode::kDeadlineExceeded,
    absl::StatusCode::kNotFound,           absl::StatusCode::kAlreadyExists,
    absl::StatusCode::kPermissionDenied,   absl::StatusCode::kResourceExhausted,
    absl::StatusCode::kFailedPrecondition, absl::StatusCode::kAborted,
    absl::StatusCode::kOutOfRange,         absl::StatusCode::kUnimplemented,
    absl::StatusCode::kInternal,           absl::StatusCode::kUnavailable,
    absl::StatusCode::kDataLoss,           absl::StatusCode::kUnauthenticated};

struct RetriedCall {
  const char* name;  // of a client's method, as FakeCluster::on_call gets it
  NodeRole role;
};
constexpr RetriedCall kCalls[] = {{"policy.Generate", NodeRole::kPolicy},
                                  {"reward.Score", NodeRole::kReward},
                                  {"judge.Score", NodeRole::kJudge},
                                  {"learner.OpenRun", NodeRole::kLearner},
                                  {"learner.Train", NodeRole::kLearner},
                                  {"learner.GetAdapter", NodeRole::kLearner},
                                  {"learner.ScoreTokens", NodeRole::kLearner},
                                  {"sft.Start", NodeRole::kLearner},
                                  {"sft.Watch", NodeRole::kLearner}};

bool IsSft(const RetriedCall& call) { return absl::StartsWith(call.name, "sft."); }

Remedy RemedyOf(const RetriedCall& call, absl::StatusCode code) {
  // The learner has forgotten the run, which is started again.
  if (call.name == std::string("sft.Watch") && code == absl::StatusCode::kNotFound)
    return Remedy::kAgain;
  return RemedyFor(call.role, code);
}

// With a judge, and a guard that looks at nothing.
RunConfig JudgedConfig() {
  RunConfig config = MakeRunConfig(2);
  config.guard = GuardConfig{.kl_max = 0,
                             .min_response_tokens = 0,
                             .max_repetition = 0,
                             .score_drop = 0,
                             .judge_gap = 0,
                             .judge = JudgeConfig{}};
  return config;
}

class EveryCodeTest : public ::testing::TestWithParam<std::tuple<RetriedCall, absl::StatusCode>> {
 protected:
  EveryCodeTest() {
    for (size_t i = 2; i < cluster_.rewards.size(); ++i)
      cluster_.rewards[i]->role = NodeRole::kJudge;
  }
  // What the steps of the run made.
  static std::vector<std::string> StepsOf(Ledger* ledger) {
    std::vector<std::string> made;
    const auto steps = ledger->Steps("run", kBeforeAllSteps, kAllSteps);
    for (const StepRecord& step : *steps) made.push_back(step.adapter.sha256 + step.sft);
    return made;
  }
  absl::Status Drive(Life* life) const {
    return IsSft(call_) ? life->DriveSft("run", "pairs") : life->Drive("run", JudgedConfig());
  }
  std::vector<std::string> Undisturbed() const {
    testing::TempFolder folder;
    FakeCluster cluster(1, 1);
    Life life(&cluster, folder.path());
    const absl::Status status =
        IsSft(call_) ? life.DriveSft("run", "pairs") : life.Drive("run", MakeRunConfig(2));
    EXPECT_TRUE(status.ok()) << status;
    return StepsOf(life.ledger.get());
  }
  testing::TempFolder folder_;
  FakeCluster cluster_{2, 4};  // two of the rewards are judges
  const RetriedCall call_ = std::get<0>(GetParam());
  const absl::StatusCode code_ = std::get<1>(GetParam());
  const absl::Status status_{code_, "the fake says so"};
};

// A call that fails once: where there is another node, or the status may pass, the run ends as if
// nothing had been.
TEST_P(EveryCodeTest, OnceIsSurvivedByWhatTheTableCanMend) {
  std::atomic<int> left{1};
  cluster_.on_call = [&](const std::string& name) {
    // The reward canary, which comes first, is not a call of this table.
    if (name != call_.name || left.fetch_sub(1) <= 0) return absl::OkStatus();
    return status_;
  };
  Life life(&cluster_, folder_.path());
  const absl::Status status = Drive(&life);
  const bool ends =
      call_.role == NodeRole::kLearner && RemedyOf(call_, code_) == Remedy::kElsewhere;
  EXPECT_EQ(status.ok(), !ends) << status;
  if (ends) {
    EXPECT_EQ(status.code(), code_);
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("the fake says so"));
  } else {
    EXPECT_EQ(StepsOf(life.ledger.get()), Undisturbed());
  }
}

// A call that fails always: the run ends with that status, or waits and says why until it passes.
TEST_P(EveryCodeTest, AlwaysEndsTheRunOrIsWaitedForWithAVisibleReason) {
  std::atomic<bool> failing{true};
  std::atomic<int> calls{0};
  cluster_.on_call = [&](const std::string& name) {
    if (name != call_.name || !failing) return absl::OkStatus();
    ++calls;
    return status_;
  };
  Life life(&cluster_, folder_.path());
  std::future<absl::Status> run = std::async(std::launch::async, [&] { return Drive(&life); });
  const Remedy remedy = RemedyOf(call_, code_);
  if (remedy == Remedy::kAgain || remedy == Remedy::kPublish) {
    life.observer.WaitForActivity(remedy == Remedy::kPublish         ? "waiting for a policy node"
                                  : call_.role == NodeRole::kLearner ? "the fake says so"
                                                                     : "failed a moment ago");
    failing = false;
    const absl::Status status = run.get();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(StepsOf(life.ledger.get()), Undisturbed());
    return;
  }
  const absl::Status status = run.get();
  EXPECT_EQ(status.code(), code_) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("the fake says so"));
  EXPECT_LE(calls, 2 * (kMaxDefects + 1)) << "of each node, or of the learner";
}

INSTANTIATE_TEST_SUITE_P(Calls, EveryCodeTest,
                         ::testing::Combine(::testing::ValuesIn(kCalls),
                                            ::testing::ValuesIn(kCodes)),
                         [](const auto& info) {
                           std::string name = std::get<0>(info.param).name;
                           name[name.find('.')] = '_';
                           return name + "_" + absl::StatusCodeToString(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace mellow::orchestrator
