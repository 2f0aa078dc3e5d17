#include "services/orchestrator/clients/proto_convert.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/file.h"
#include "mellow/learner/v1/ppo_config.pb.h"
#include "mellow/learner/v1/sft.pb.h"
#include "tests/testing/source_tree.h"

namespace mellow::orchestrator {
namespace {

using ::testing::HasSubstr;

v1::RunSpec MakeSpec(const std::string& overrides = "{}") {
  v1::RunSpec spec;
  spec.set_steps(2);
  spec.mutable_data()->set_path("/data.jsonl");
  spec.mutable_ppo()->set_batch_size(16);
  spec.mutable_ppo()->set_mini_batch_size(4);
  v1::RunSpec more;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(overrides, &more).ok()) << overrides;
  spec.MergeFrom(more);
  return spec;
}

policy::v1::SamplingParams SamplingOf(const absl::StatusOr<RunConfig>& config) {
  policy::v1::SamplingParams sampling;
  EXPECT_TRUE(sampling.ParseFromString(config->sampling.params));
  return sampling;
}

TEST(RunConfigFromProtoTest, FillsInTheDefaults) {
  const auto config = RunConfigFromProto(MakeSpec());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->batch_size, 16);
  EXPECT_EQ(config->shard_prompts, 8);
  EXPECT_EQ(config->lease, absl::Seconds(600));
  EXPECT_TRUE(SamplingOf(config).do_sample());
  EXPECT_TRUE(config->reference_is_start);
  EXPECT_EQ(config->reward.label, "nothate");
  EXPECT_FALSE(config->data.max_source_tokens.has_value());
  EXPECT_THAT(config->data.prompt_template, HasSubstr("{dialogue}"));
}

TEST(RunConfigFromProtoTest, GreedyRolloutsMustBeAskedFor) {
  const auto sampled = SamplingOf(
      RunConfigFromProto(MakeSpec(R"({"generation": {"sampling": {"temperature": 0.7}}})")));
  EXPECT_TRUE(sampled.do_sample());
  EXPECT_EQ(sampled.temperature(), 0.7);
  EXPECT_FALSE(sampled.has_top_k()) << "as the policy's model says";
  EXPECT_FALSE(SamplingOf(RunConfigFromProto(
                              MakeSpec(R"({"generation": {"sampling": {"doSample": false}}})")))
                   .do_sample());
}

TEST(RunConfigFromProtoTest, TheLearnerGetsTheRunsSeedUnlessItHasItsOwn) {
  learner::v1::PpoConfig ppo;
  ASSERT_TRUE(ppo.ParseFromString(RunConfigFromProto(MakeSpec(R"({"seed": 5})"))->ppo));
  EXPECT_EQ(ppo.seed(), 5u);
  ASSERT_TRUE(
      ppo.ParseFromString(RunConfigFromProto(MakeSpec(R"({"seed": 5, "ppo": {"seed": 9}})"))->ppo));
  EXPECT_EQ(ppo.seed(), 9u);
}

TEST(SftSpecFromProtoTest, TakesTheSupervisedPartAndNothingOfPpo) {
  v1::RunSpec spec;
  spec.set_name("pairs");
  spec.mutable_sft()->set_batch_size(3);
  const auto sft = SftSpecFromProto(spec);
  ASSERT_TRUE(sft.ok()) << sft.status();
  learner::v1::SftSpec read;
  ASSERT_TRUE(read.ParseFromString(*sft));
  EXPECT_EQ(read.batch_size(), 3);
  spec.set_steps(5);
  EXPECT_EQ(SftSpecFromProto(spec).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(SftSpecFromProto(spec).status().message()), HasSubstr("steps: "));
}

TEST(RunConfigFromProtoTest, TheRunFilesThatShipAreValid) {
  for (const char* name : {"mini.json", "dialogsum-flan-t5-base.json"}) {
    const auto json = ReadFile(mellow::SourceTree("/deploy/runs/") + name);
    ASSERT_TRUE(json.ok()) << json.status();
    v1::RunSpec spec;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(*json, &spec).ok()) << name;
    spec.mutable_data()->set_path("/" + spec.data().path());
    EXPECT_TRUE(RunConfigFromProto(spec).ok()) << name << RunConfigFromProto(spec).status();
  }
}

TEST(RunConfigFromProtoTest, ARunHasNoGuardUnlessItsFileSaysSo) {
  EXPECT_FALSE(RunConfigFromProto(MakeSpec())->guard.has_value());
  const auto config = RunConfigFromProto(MakeSpec(R"({"guard": {}})"));
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_TRUE(config->guard.has_value());
  EXPECT_EQ(config->guard->kl_max, 30) << "five times the target";
  EXPECT_FALSE(config->guard->min_response_tokens.has_value());
  EXPECT_EQ(config->guard->window, 5);
  EXPECT_EQ(config->guard->action, GuardAction::kStop);
  EXPECT_FALSE(config->guard->judge.has_value());
  EXPECT_EQ(RunConfigFromProto(MakeSpec(R"({"ppo": {"target": 2}, "guard": {}})"))->guard->kl_max,
            10);
}

TEST(RunConfigFromProtoTest, TheGuardIsReadWhole) {
  const auto config = RunConfigFromProto(MakeSpec(
      R"({"guard": {"klMax": 9, "minResponseTokens": 3, "maxRepetition": 0.5, "scoreDrop": 2,
          "judgeGap": 3, "window": 7, "action": "continue", "learningRateFactor": 0.1,
          "maxTrips": 4, "judge": {"label": "kind", "share": 0.75}}})"));
  ASSERT_TRUE(config.ok()) << config.status();
  const GuardConfig& guard = *config->guard;
  EXPECT_EQ(guard.kl_max, 9);
  EXPECT_EQ(guard.min_response_tokens, 3);
  EXPECT_EQ(guard.max_repetition, 0.5);
  EXPECT_EQ(guard.score_drop, 2);
  EXPECT_EQ(guard.judge_gap, 3);
  EXPECT_EQ(guard.window, 7);
  EXPECT_EQ(guard.action, GuardAction::kContinue);
  EXPECT_EQ(guard.learning_rate_factor, 0.1);
  EXPECT_EQ(guard.max_trips, 4);
  EXPECT_EQ(guard.judge->label, "kind");
  EXPECT_EQ(guard.judge->share, 0.75);
}

TEST(RunConfigFromProtoTest, EverythingThatIsWrongWithTheGuardIsNamedAtOnce) {
  const auto config =
      RunConfigFromProto(MakeSpec(R"({"guard": {"window": 1, "action": "pause", "judgeGap": 1}})"));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  for (const char* named : {"guard.window: 1: ", "guard.action: pause: must be stop or continue",
                            "guard.judge_gap: 1: needs guard.judge"})
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(named));
}

TEST(ToProtoTest, AStepAndItsRunTellOfTheGuard) {
  StepRecord step{.step = 4, .repetition_mean = 0.25};
  step.judge = JudgeFigures{0.5, 1, 0.75};
  step.committed_ms = 1'700'000'000'250;
  step.trip = GuardTrip{.step = 4,
                        .good_step = 1,
                        .good = {5, "h1"},
                        .check = "kl_max",
                        .value = 49,
                        .bound = 10,
                        .reason = "too far"};
  v1::Step proto;
  ToProto(step, &proto);
  EXPECT_EQ(proto.repetition_mean(), 0.25);
  EXPECT_EQ(proto.judge_score_mean(), 0.5);
  EXPECT_EQ(proto.judge_gap(), 0.75);
  EXPECT_EQ(proto.committed().seconds(), 1'700'000'000);
  EXPECT_EQ(proto.committed().nanos(), 250'000'000);
  EXPECT_EQ(proto.guard_trip(), "too far");
  v1::Step without;
  ToProto(StepRecord{.step = 1}, &without);
  EXPECT_FALSE(without.has_judge_gap());
  EXPECT_FALSE(without.has_committed()) << "of an earlier version's ledger";
  RunStatus run;
  run.trips.push_back(*step.trip);
  v1::Run told;
  ToProto(run, &told);
  ASSERT_EQ(told.guard_trips_size(), 1);
  EXPECT_EQ(told.guard_trips(0).good_step(), 1);
  EXPECT_EQ(told.guard_trips(0).good().version(), 5);
  EXPECT_EQ(told.guard_trips(0).check(), "kl_max");
  EXPECT_EQ(told.guard_trips(0).bound(), 10);
}

struct BadField {
  const char* overrides;
  const char* named;
};
class BadFieldTest : public ::testing::TestWithParam<BadField> {};

TEST_P(BadFieldTest, IsNamedWithItsValue) {
  const auto config = RunConfigFromProto(MakeSpec(GetParam().overrides));
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << GetParam().overrides;
  EXPECT_THAT(std::string(config.status().message()), HasSubstr(GetParam().named));
}

INSTANTIATE_TEST_SUITE_P(
    RunSpec, BadFieldTest,
    ::testing::Values(
        BadField{R"({"steps": -1})", "steps: -1"},
        BadField{R"({"data": {"path": "relative.jsonl"}})", "data.path: relative.jsonl"},
        BadField{R"({"data": {"promptTemplate": ""}})", "data.prompt_template"},
        BadField{R"({"data": {"minChars": -3}})", "data.min_chars: -3"},
        BadField{R"({"data": {"minChars": 9, "maxChars": 9}})", "data.max_chars: 9"},
        BadField{R"({"data": {"trainFraction": 1.5}})", "data.train_fraction: 1.5"},
        BadField{R"({"data": {"trainFraction": "NaN"}})", "data.train_fraction"},
        BadField{R"({"data": {"trainFraction": 0}})", "data.train_fraction: 0"},
        BadField{R"({"data": {"splitSeed": 5}})", "data.split_seed: 5"},
        BadField{R"({"data": {"maxSourceTokens": 1}})", "data.max_source_tokens: 1"},
        BadField{R"({"generation": {"sampling": {"temperature": 0}}})",
                 "generation.sampling.temperature: 0"},
        BadField{R"({"generation": {"sampling": {"topP": 1.1}}})",
                 "generation.sampling.top_p: 1.1"},
        BadField{R"({"generation": {"sampling": {"topK": -1}}})", "generation.sampling.top_k: -1"},
        BadField{R"({"generation": {"sampling": {"numBeams": 4}}})",
                 "generation.sampling.num_beams: 4"},
        BadField{R"({"generation": {"sampling": {"seed": "4"}}})", "generation.sampling.seed: 4"},
        BadField{R"({"generation": {"sampling": {"maxNewTokens": 0}}})",
                 "generation.sampling.max_new_tokens: 0"},
        BadField{R"({"generation": {"sampling": {"maxNewTokens": 4, "minNewTokens": 5}}})",
                 "generation.sampling.min_new_tokens: 5"},
        BadField{R"({"generation": {"lengthSamplerMin": 4}})", "generation.length_sampler_max"},
        BadField{R"({"generation": {"lengthSamplerMin": 4, "lengthSamplerMax": 4}})",
                 "generation.length_sampler_max: 4"},
        BadField{R"({"reward": {"label": ""}})", "reward.label"},
        BadField{R"({"reward": {"textTemplate": "{query}"}})", "reward.text_template: {query}"},
        BadField{R"({"ppo": {"batchSize": 17}})", "ppo.batch_size: 17"},
        BadField{R"({"ppo": {"learningRate": -1}})", "ppo.learning_rate: -1"},
        BadField{R"({"ppo": {"reference": "other"}})", "ppo.reference"},
        BadField{R"({"startAdapter": "/a", "ppo": {"lora": {"r": 4}}})", "ppo.lora"},
        BadField{R"({"maxStaleness": -1})", "max_staleness: -1"},
        BadField{R"({"shardPrompts": 0})", "shard_prompts: 0"},
        BadField{R"({"leaseSeconds": 0})", "lease_seconds: 0"},
        BadField{R"({"leaseSeconds": "NaN"})", "lease_seconds"}));

v1::RegisterNodeRequest MakeRegistration() {
  v1::RegisterNodeRequest request;
  request.set_node_id("p");
  request.set_role(v1::NODE_ROLE_POLICY);
  request.set_address("h:1");
  request.set_incarnation("1");
  return request;
}

TEST(NodeReportFromProtoTest, EveryMissingFieldIsNamed) {
  EXPECT_TRUE(NodeReportFromProto(MakeRegistration()).ok());
  v1::RegisterNodeRequest request = MakeRegistration();
  request.clear_node_id();
  EXPECT_THAT(std::string(NodeReportFromProto(request).status().message()), HasSubstr("node_id"));
  request = MakeRegistration();
  request.set_role(static_cast<v1::NodeRole>(9));
  EXPECT_THAT(std::string(NodeReportFromProto(request).status().message()), HasSubstr("role: 9"));
  request = MakeRegistration();
  request.clear_address();
  EXPECT_THAT(std::string(NodeReportFromProto(request).status().message()), HasSubstr("address"));
  request = MakeRegistration();
  request.clear_incarnation();
  EXPECT_THAT(std::string(NodeReportFromProto(request).status().message()),
              HasSubstr("incarnation"));
}

TEST(NodeReportFromProtoTest, ANodeThatMeasuredNonsenseHasUnknownSpeed) {
  v1::RegisterNodeRequest request = MakeRegistration();
  request.mutable_capacity()->set_tokens_per_second(std::nan(""));
  EXPECT_EQ(NodeReportFromProto(request)->capacity.tokens_per_second, 0);
}

TEST(ToProtoTest, AStepHasTheNamesThatPeopleLookFor) {
  StepRecord step{.step = 3, .adapter = {5, "ab"}, .toxicity_mean = 0.25};
  step.stats = {{"objective/kl", 1}, {"ppo/returns/mean", 2}, {"ppo/policy/advantages_mean", 3}};
  v1::Step proto;
  ToProto(step, &proto);
  EXPECT_EQ(proto.step(), 3);
  EXPECT_EQ(proto.adapter().version(), 5);
  EXPECT_EQ(proto.objective_kl(), 1);
  EXPECT_EQ(proto.returns_mean(), 2);
  EXPECT_EQ(proto.advantages_mean(), 3);
  EXPECT_EQ(proto.toxicity_mean(), 0.25);
  EXPECT_EQ(proto.stats().size(), 3u);
}

TEST(ToProtoTest, ASupervisedRunAndItsStepsSayWhatTheLearnerSaid) {
  learner::v1::SftStep said;
  said.set_step(2);
  said.set_loss(0.1);
  v1::Step step;
  ToProto(StepRecord{.step = 2, .seconds = 3, .sft = said.SerializeAsString()}, &step);
  EXPECT_EQ(step.step(), 2);
  EXPECT_EQ(step.seconds(), 3);
  EXPECT_EQ(step.sft().loss(), 0.1);
  EXPECT_FALSE(step.has_adapter());

  v1::RunSpec spec;
  spec.mutable_sft();
  RunStatus run{.run_id = "r", .spec = spec.SerializeAsString(), .committed_steps = 2};
  v1::Run proto;
  ToProto(run, &proto);
  EXPECT_FALSE(proto.has_sft());
  EXPECT_EQ(proto.total_steps(), 0) << "the learner has not opened it";
  learner::v1::SftRun progress;
  progress.set_total_steps(12);
  progress.set_total_parameters(70);
  progress.set_adapter_path("/ckpt/r/adapter");
  run.progress = progress.SerializeAsString();
  ToProto(run, &proto);
  EXPECT_EQ(proto.total_steps(), 12);
  EXPECT_EQ(proto.total_parameters(), 70);
  EXPECT_EQ(proto.adapter_path(), "/ckpt/r/adapter");
  EXPECT_FALSE(proto.has_adapter());
}

TEST(ToProtoTest, ARunSaysWhatItStartedFromOnceThatIsKnown) {
  RunStatus run{.run_id = "r"};
  v1::Run proto;
  ToProto(run, &proto);
  EXPECT_FALSE(proto.has_start_adapter_ref());
  run.start = AdapterRef{3, "cd"};
  run.parameters = {7, 70};
  ToProto(run, &proto);
  EXPECT_EQ(proto.start_adapter_ref().version(), 3);
  EXPECT_EQ(proto.start_adapter_ref().sha256(), "cd");
  EXPECT_EQ(proto.trainable_parameters(), 7);
  EXPECT_EQ(proto.total_parameters(), 70);
}

TEST(ToProtoTest, ANodeShowsItsNewestAdapter) {
  NodeStatus node;
  node.report = *NodeReportFromProto(MakeRegistration());
  node.report.adapters = {{0, ""}, {7, "seven"}, {3, "three"}};
  node.state = NodeState::kQuarantined;
  node.reason = "canary";
  v1::Node proto;
  ToProto(node, &proto);
  EXPECT_EQ(proto.newest().version(), 7);
  EXPECT_EQ(proto.state(), v1::NODE_STATE_QUARANTINED);
  EXPECT_EQ(proto.role(), v1::NODE_ROLE_POLICY);
  EXPECT_EQ(proto.reason(), "canary");
}

}  // namespace
}  // namespace mellow::orchestrator
