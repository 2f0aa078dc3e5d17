#include "services/orchestrator/clients/proto_convert.h"

#include <google/protobuf/descriptor.h>

#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/rl/ppo_config.h"
#include "services/wire/data_spec.h"
#include "services/wire/ppo_config.h"
#include "services/wire/proto_json.h"
#include "services/wire/sampling.h"

namespace mellow::orchestrator {
namespace {

void SetTime(int64_t unix_ms, google::protobuf::Timestamp* time) {
  time->set_seconds(unix_ms / 1000);
  time->set_nanos(static_cast<int32_t>(unix_ms % 1000 * 1'000'000));
}

// A rollout is one sampled path: what is of beam search is refused, and so is a seed of its own.
absl::StatusOr<RolloutSampling> SamplingFromProto(const v1::GenerationSpec& generation) {
  policy::v1::SamplingParams sampling = generation.sampling();
  const bool no_beams = !sampling.has_num_beams() || sampling.num_beams() == 1;
  for (const auto& [good, field, rule] :
       std::initializer_list<std::tuple<bool, std::string, const char*>>{
           {no_beams, absl::StrCat("num_beams: ", sampling.num_beams()),
            "a rollout is one path, so it must be 1"},
           {!sampling.has_length_penalty(),
            absl::StrCat("length_penalty: ", sampling.length_penalty()),
            "is of beam search, which rollouts do not use"},
           {sampling.early_stopping() == policy::v1::EARLY_STOPPING_UNSPECIFIED, "early_stopping",
            "is of beam search, which rollouts do not use"},
           {!sampling.has_seed(), absl::StrCat("seed: ", sampling.seed()),
            "the run's seed is used; set `seed`"}}) {
    if (!good)
      return absl::InvalidArgumentError(absl::StrCat("generation.sampling.", field, ": ", rule));
  }
  // Greedy rollouts do not explore, so they must be asked for.
  nn::SamplingParams params{.do_sample = true};
  for (const absl::Status& status :
       {wire::ReadSampling(sampling, &params), wire::CheckSampling(params)}) {
    if (!status.ok())
      return absl::InvalidArgumentError(absl::StrCat("generation.", status.message()));
  }
  sampling.set_do_sample(params.do_sample);
  sampling.set_num_beams(1);  // whatever the model's default
  RolloutSampling config{.params = sampling.SerializeAsString(),
                         .min_new_tokens = sampling.min_new_tokens()};
  if (sampling.has_max_new_tokens()) config.max_new_tokens = sampling.max_new_tokens();
  if (generation.has_length_sampler_min())
    config.length_sampler_min = generation.length_sampler_min();
  if (generation.has_length_sampler_max())
    config.length_sampler_max = generation.length_sampler_max();
  return config;
}

RewardConfig RewardFromProto(const v1::RewardSpec& reward) {
  RewardConfig config;
  if (reward.has_label()) config.label = reward.label();
  if (reward.has_text_template()) config.text_template = reward.text_template();
  config.keep_special_tokens = reward.keep_special_tokens();
  config.toxic_label = reward.toxic_label();
  return config;
}

// With `kl_target` of RunConfig. Everything that is wrong is named at once.
absl::StatusOr<GuardConfig> GuardFromProto(const v1::GuardSpec& guard, double kl_target) {
  GuardConfig config;
  // As the alert on the KL has it.
  if (kl_target > 0) config.kl_max = 5 * kl_target;
  if (guard.has_kl_max()) config.kl_max = guard.kl_max();
  if (guard.has_min_response_tokens()) config.min_response_tokens = guard.min_response_tokens();
  if (guard.has_max_repetition()) config.max_repetition = guard.max_repetition();
  if (guard.has_score_drop()) config.score_drop = guard.score_drop();
  if (guard.has_judge_gap()) config.judge_gap = guard.judge_gap();
  if (guard.has_window()) config.window = guard.window();
  if (guard.has_learning_rate_factor()) config.learning_rate_factor = guard.learning_rate_factor();
  if (guard.has_max_trips()) config.max_trips = guard.max_trips();
  if (guard.action() == "continue") config.action = GuardAction::kContinue;
  if (guard.has_judge()) {
    config.judge.emplace();
    config.judge->label = guard.judge().label();
    if (guard.judge().has_share()) config.judge->share = guard.judge().share();
  }
  std::vector<std::string> wrong;
  if (const absl::Status status = config.Validate(); !status.ok())
    wrong.emplace_back(status.message());
  if (guard.has_action() && guard.action() != "stop" && guard.action() != "continue")
    wrong.push_back(absl::StrCat("guard.action: ", guard.action(), ": must be stop or continue"));
  if (guard.has_judge_gap() && !guard.has_judge())
    wrong.push_back(absl::StrCat("guard.judge_gap: ", guard.judge_gap(), ": needs guard.judge"));
  if (wrong.empty()) return config;
  return absl::InvalidArgumentError(absl::StrJoin(wrong, "; "));
}

// Checks the PPO part by the rules of the trainer itself.
absl::Status ReadPpo(const v1::RunSpec& spec, RunConfig* config) {
  learner::v1::PpoConfig ppo = spec.ppo();
  if (!ppo.has_seed()) ppo.set_seed(spec.seed());
  if (!ppo.has_batch_size()) ppo.set_batch_size(config->batch_size);
  const absl::StatusOr<rl::PpoConfig> parsed = wire::PpoConfigFromProto(ppo);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("ppo.", parsed.status().message()));
  }
  if (ppo.has_lora() && spec.has_start_adapter() && !spec.start_adapter().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("ppo.lora: not together with start_adapter (", spec.start_adapter(),
                     "), which brings its own shape; remove one of the two"));
  }
  config->batch_size = parsed->batch_size;
  config->reference_is_start = parsed->reference == rl::Reference::kStart;
  config->full_kl = parsed->kl_penalty == rl::KlPenalty::kFull;
  config->precision = std::string(nn::WeightTypeName(parsed->precision));
  config->kl_target = parsed->adap_kl_ctrl ? parsed->target : 0;
  config->ppo = ppo.SerializeAsString();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunConfig> RunConfigFromProto(const v1::RunSpec& spec) {
  RunConfig config;
  config.name = spec.name();
  config.steps = spec.steps();
  config.seed = spec.seed();
  MELLOW_ASSIGN_OR_RETURN(config.data, wire::DataFromProto(spec.data(), data::DataUse::kPpo));
  MELLOW_ASSIGN_OR_RETURN(config.sampling, SamplingFromProto(spec.generation()));
  config.reward = RewardFromProto(spec.reward());
  config.start_adapter = spec.start_adapter();
  config.max_staleness = spec.max_staleness();
  if (spec.has_shard_prompts()) config.shard_prompts = spec.shard_prompts();
  if (spec.has_lease_seconds()) {
    const double seconds = spec.lease_seconds();
    config.lease = std::isfinite(seconds) ? absl::Seconds(seconds) : absl::ZeroDuration();
  }
  MELLOW_RETURN_IF_ERROR(ReadPpo(spec, &config));
  if (spec.has_guard()) {
    MELLOW_ASSIGN_OR_RETURN(config.guard, GuardFromProto(spec.guard(), config.kl_target));
  }
  MELLOW_RETURN_IF_ERROR(config.Validate());
  config.spec_json = wire::ToJson(spec);
  return config;
}

absl::StatusOr<std::string> SftSpecFromProto(const v1::RunSpec& spec) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  spec.GetReflection()->ListFields(spec, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->number() == v1::RunSpec::kNameFieldNumber ||
        field->number() == v1::RunSpec::kSftFieldNumber)
      continue;
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(field->name()), ": not together with sft, which has all of its settings"));
  }
  return spec.sft().SerializeAsString();
}

absl::StatusOr<NodeReport> NodeReportFromProto(const v1::RegisterNodeRequest& request) {
  if (request.node_id().empty() || request.node_id().size() > 256) {
    return absl::InvalidArgumentError(
        absl::StrCat("node_id: must have 1 to 256 characters, not ", request.node_id().size()));
  }
  if (request.address().empty()) return absl::InvalidArgumentError("address: missing");
  if (request.incarnation().empty()) return absl::InvalidArgumentError("incarnation: missing");
  NodeReport report;
  switch (request.role()) {
    case v1::NODE_ROLE_POLICY:
      report.role = NodeRole::kPolicy;
      break;
    case v1::NODE_ROLE_REWARD:
      report.role = NodeRole::kReward;
      break;
    case v1::NODE_ROLE_LEARNER:
      report.role = NodeRole::kLearner;
      break;
    case v1::NODE_ROLE_LEARNER_WORKER:
      report.role = NodeRole::kLearnerWorker;
      break;
    case v1::NODE_ROLE_JUDGE:
      report.role = NodeRole::kJudge;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("role: ", static_cast<int>(request.role()), ": unknown"));
  }
  report.node_id = request.node_id();
  report.address = request.address();
  report.incarnation = request.incarnation();
  if (request.stalled_seconds() > 0) report.stalled_seconds = request.stalled_seconds();
  const common::v1::NodeCapacity& capacity = request.capacity();
  report.capacity = {capacity.device(),
                     capacity.threads(),
                     capacity.max_batch_tokens(),
                     std::isfinite(capacity.tokens_per_second()) ? capacity.tokens_per_second() : 0,
                     capacity.model(),
                     capacity.model_sha256(),
                     capacity.precision(),
                     capacity.max_request_items(),
                     capacity.max_new_tokens(),
                     capacity.toxic_label(),
                     capacity.max_message_bytes()};
  for (const common::v1::AdapterRef& adapter : request.adapters()) {
    report.adapters.push_back(AdapterRefFromProto(adapter));
  }
  return report;
}

std::vector<std::vector<float>> LogProbsFromProto(
    const google::protobuf::RepeatedPtrField<common::v1::LogProbs>& logprobs) {
  std::vector<std::vector<float>> lists;
  for (const common::v1::LogProbs& list : logprobs) {
    lists.emplace_back(list.values().begin(), list.values().end());
  }
  return lists;
}

void ToProto(const TokenPair& pair, common::v1::TokenPair* proto) {
  proto->mutable_source_ids()->Assign(pair.source_ids.begin(), pair.source_ids.end());
  proto->mutable_target_ids()->Assign(pair.target_ids.begin(), pair.target_ids.end());
}

AdapterRef AdapterRefFromProto(const common::v1::AdapterRef& proto) {
  return {proto.version(), proto.sha256()};
}

void ToProto(const AdapterRef& ref, common::v1::AdapterRef* proto) {
  proto->set_version(ref.version);
  proto->set_sha256(ref.sha256);
}

void ToProto(const StepRecord& step, v1::Step* proto) {
  proto->set_step(step.step);
  proto->set_seconds(step.seconds);
  if (step.committed_ms > 0) SetTime(step.committed_ms, proto->mutable_committed());
  if (!step.sft.empty()) {
    proto->mutable_sft()->ParseFromString(step.sft);
    return;
  }
  ToProto(step.adapter, proto->mutable_adapter());
  proto->set_objective_kl(step.Stat("objective/kl"));
  proto->set_returns_mean(step.Stat("ppo/returns/mean"));
  proto->set_advantages_mean(step.Stat("ppo/policy/advantages_mean"));
  proto->set_score_mean(step.score_mean);
  proto->set_toxicity_mean(step.toxicity_mean);
  proto->set_response_tokens_mean(step.response_tokens_mean);
  proto->set_repetition_mean(step.repetition_mean);
  if (step.judge) {
    proto->set_judge_score_mean(step.judge->score_mean);
    proto->set_judge_gap(step.judge->gap);
  }
  if (step.trip) proto->set_guard_trip(step.trip->reason);
  proto->set_tokens_per_second(step.tokens_per_second);
  proto->mutable_stats()->insert(step.stats.begin(), step.stats.end());
  proto->mutable_phase_seconds()->insert(step.phase_seconds.begin(), step.phase_seconds.end());
}

void ToProto(const RunStatus& run, v1::Run* proto) {
  proto->set_run_id(run.run_id);
  proto->mutable_spec()->ParseFromString(run.spec);
  // The values are the same on both sides (types.h).
  proto->set_state(static_cast<v1::RunState>(run.state));
  proto->set_committed_steps(run.committed_steps);
  proto->set_activity(run.activity);
  proto->set_error(run.error);
  if (run.created_ms > 0) SetTime(run.created_ms, proto->mutable_created());
  if (run.ended_ms > 0) SetTime(run.ended_ms, proto->mutable_ended());
  if (run.last_step) {
    ToProto(*run.last_step, proto->mutable_last_step());
    proto->mutable_last_step()->clear_stats();
    proto->mutable_last_step()->clear_phase_seconds();
  }
  if (proto->spec().has_sft()) {
    if (run.progress.empty()) return;
    learner::v1::SftRun* sft = proto->mutable_sft();
    sft->ParseFromString(run.progress);
    proto->set_total_steps(sft->total_steps());
    proto->set_trainable_parameters(sft->trainable_parameters());
    proto->set_total_parameters(sft->total_parameters());
    proto->set_adapter_path(sft->adapter_path());
    return;
  }
  proto->set_total_steps(proto->spec().steps());
  ToProto(run.adapter, proto->mutable_adapter());
  proto->set_adapter_path(run.adapter_path);
  if (run.start) ToProto(*run.start, proto->mutable_start_adapter_ref());
  proto->set_trainable_parameters(run.parameters.trainable);
  proto->set_total_parameters(run.parameters.total);
  for (const GuardTrip& trip : run.trips) {
    v1::GuardTrip* added = proto->add_guard_trips();
    added->set_step(trip.step);
    added->set_good_step(trip.good_step);
    ToProto(trip.good, added->mutable_good());
    added->set_check(trip.check);
    added->set_value(trip.value);
    added->set_bound(trip.bound);
    added->set_reason(trip.reason);
  }
  proto->set_not_repeatable(NotRepeatable(run.pins));
  for (const auto& [role, pin] : run.pins.models) {
    v1::PinnedModel* model = proto->add_models();
    model->set_role(static_cast<v1::NodeRole>(role));
    model->set_model_sha256(pin.sha256);
    model->set_precision(pin.precision);
    if (role == NodeRole::kReward) model->set_toxic_label(run.pins.toxic_label);
    const auto canary = run.pins.canaries.find(role);
    if (canary == run.pins.canaries.end()) continue;
    model->mutable_labels()->Assign(canary->second.labels.begin(), canary->second.labels.end());
  }
}

void ToProto(const NodeStatus& node, v1::Node* proto) {
  proto->set_node_id(node.report.node_id);
  proto->set_role(static_cast<v1::NodeRole>(node.report.role));
  proto->set_address(node.report.address);
  proto->set_state(static_cast<v1::NodeState>(node.state));
  common::v1::NodeCapacity* capacity = proto->mutable_capacity();
  capacity->set_device(node.report.capacity.device);
  capacity->set_threads(node.report.capacity.threads);
  capacity->set_max_batch_tokens(node.report.capacity.max_batch_tokens);
  capacity->set_tokens_per_second(node.report.capacity.tokens_per_second);
  capacity->set_model(node.report.capacity.model);
  capacity->set_model_sha256(node.report.capacity.model_sha256);
  capacity->set_precision(node.report.capacity.precision);
  capacity->set_max_request_items(node.report.capacity.max_request_items);
  capacity->set_max_new_tokens(node.report.capacity.max_new_tokens);
  capacity->set_toxic_label(node.report.capacity.toxic_label);
  capacity->set_max_message_bytes(node.report.capacity.max_message_bytes);
  proto->set_leases_done(node.leases_done);
  proto->set_leases_lost(node.leases_lost);
  const AdapterRef* newest = nullptr;
  for (const AdapterRef& adapter : node.report.adapters) {
    if (newest == nullptr || adapter.version > newest->version) newest = &adapter;
  }
  if (newest != nullptr) ToProto(*newest, proto->mutable_newest());
  proto->set_reason(node.reason);
}

void ToProto(const PromotionEvent& event, v1::PromotionEvent* proto) {
  proto->set_sequence(event.sequence);
  SetTime(absl::ToUnixMillis(event.time), proto->mutable_time());
  // The values are the same on both sides (promotion.h).
  proto->set_action(static_cast<v1::PromotionAction>(event.action));
  if (event.champion) {
    ToProto(event.champion->ref, proto->mutable_champion());
    proto->set_run_id(event.champion->run_id);
  }
  if (event.previous) ToProto(*event.previous, proto->mutable_previous());
  v1::PromotionEvidence* evidence = proto->mutable_evidence();
  evidence->set_evaluation_name(event.evidence.evaluation_name);
  evidence->set_evaluation_sha256(event.evidence.evaluation_sha256);
  evidence->set_forced(event.evidence.forced);
  evidence->set_reason(event.evidence.reason);
  for (const PromotionGate& gate : event.evidence.gates) {
    v1::PromotionEvidence::Gate* added = evidence->add_gates();
    added->set_name(gate.name);
    added->set_passed(gate.passed);
    added->set_detail(gate.detail);
  }
}

PromotionEvidence EvidenceFromProto(const v1::PromotionEvidence& proto) {
  PromotionEvidence evidence{.evaluation_name = proto.evaluation_name(),
                             .evaluation_sha256 = proto.evaluation_sha256(),
                             .forced = proto.forced(),
                             .reason = proto.reason()};
  for (const v1::PromotionEvidence::Gate& gate : proto.gates())
    evidence.gates.push_back({gate.name(), gate.passed(), gate.detail()});
  return evidence;
}

}  // namespace mellow::orchestrator
