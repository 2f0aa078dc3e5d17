#include "services/orchestrator/run/run_driver.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "common/stats/mean.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/model_pins.h"
#include "services/orchestrator/nodes/self_test.h"
#include "services/orchestrator/rollouts/judge_step.h"

namespace mellow::orchestrator {
namespace {

// What the learner calls the run after it went back `trips` times.
std::string LearnerRunId(const std::string& run_id, size_t trips) {
  return trips == 0 ? run_id : absl::StrCat(run_id, "-guard", trips);
}

// The means over a step's rollouts.
void Summarize(const std::vector<Rollout>& rollouts, StepRecord* record) {
  if (rollouts.empty()) return;
  std::vector<double> scores;
  for (const Rollout& rollout : rollouts) {
    scores.push_back(rollout.score->score);
    record->repetition_mean += RepeatedNgrams(rollout.response_ids);
    record->score_mean += rollout.score->score;
    record->toxicity_mean += rollout.score->toxicity;
    record->response_tokens_mean += static_cast<double>(rollout.response_ids.size());
  }
  const double count = static_cast<double>(rollouts.size());
  record->score_mean /= count;
  record->score_sd = stats::MeanAndSd(scores).sd;
  record->repetition_mean /= count;
  record->toxicity_mean /= count;
  record->response_tokens_mean /= count;
}

}  // namespace

RunDriver::RunDriver(const DriverParts& parts, std::string run_id, RunConfig config,
                     const PromptSource* prompts, RunObserver* observer, RunSignals signals)
    : parts_(parts),
      run_id_(std::move(run_id)),
      config_(std::move(config)),
      prompts_(prompts),
      activity_(observer),
      signals_(std::move(signals)),
      publisher_(parts, run_id_, config_, observer_, signals_) {}

absl::Status RunDriver::Run() {
  MELLOW_RETURN_IF_ERROR(Pin());
  MELLOW_RETURN_IF_ERROR(Open());
  last_commit_ = SteadyTime::Now();
  while (true) {
    MELLOW_RETURN_IF_ERROR(Heed());
    const int step = static_cast<int>(adapters_.size()) + 1;
    if (step > config_.steps) return absl::OkStatus();
    if (stopping()) return AskedToStop();
    MELLOW_RETURN_IF_ERROR(Step(step));
  }
}

absl::Status RunDriver::Heed() {
  if (trips_.empty() || std::cmp_less(since(), adapters_.size())) return absl::OkStatus();
  // The next step is trained, so its rollouts are there: what sampled them has had its turn, and
  // the learner and maybe the policies are past it.
  if (learner_step_ > since()) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(const std::vector<Prompt> prompts,
                          StepPrompts(*prompts_, config_, since()));
  MELLOW_RETURN_IF_ERROR(Serve(begun_with(), prompts).status());
  const GuardTrip& trip = trips_.back();
  const bool stops = config_.guard->action == GuardAction::kStop ||
                     std::cmp_greater(trips_.size(), config_.guard->max_trips);
  if (!stops || trip.goes_on) return absl::OkStatus();
  return absl::CancelledError(absl::StrCat("stopped by its guard: ", trip.reason));
}

absl::Status RunDriver::Trip(const GuardFinding& finding, StepRecord* record) {
  GuardTrip trip{.step = record->step,
                 .good_step = finding.good_step,
                 .check = finding.check,
                 .value = finding.value,
                 .bound = finding.bound,
                 .reason = finding.reason};
  // The same weights under a version that every policy takes for newer than what they are served.
  MELLOW_ASSIGN_OR_RETURN(trip.good.version,
                          parts_.ledger->NewVersion(parts_.registry->LargestVersion()));
  trip.good.sha256 =
      finding.good_step <= since() ? begun_with().sha256 : adapters_[finding.good_step - 1].sha256;
  record->trip = std::move(trip);
  return absl::OkStatus();
}

absl::Status RunDriver::Pin() {
  MELLOW_ASSIGN_OR_RETURN(const RunPins kept, parts_.ledger->Pins(run_id_));
  const LinkedStop stop(signals_.stop, signals_.shutdown);
  MELLOW_ASSIGN_OR_RETURN(pins_, PinModels(kept, parts_.registry, parts_.clients, observer_,
                                           config_.guard && config_.guard->judge, stop.token()));
  if (pins_ != kept) MELLOW_RETURN_IF_ERROR(parts_.ledger->SetPins(run_id_, pins_));
  parts_.supervisor->SetPins(pins_);
  // Whatever label a later node prefers.
  if (config_.reward.toxic_label.empty()) config_.reward.toxic_label = pins_.toxic_label;
  const auto policy = pins_.models.find(NodeRole::kPolicy);
  const auto learner = pins_.models.find(NodeRole::kLearner);
  const bool known = policy != pins_.models.end() && learner != pins_.models.end();
  const bool other =
      known && !policy->second.precision.empty() && policy->second.precision != config_.precision;
  publisher_.SetOtherPrecision(other ? policy->second.precision : "");
  nodes_have_learners_model_ = known && policy->second.sha256 == learner->second.sha256 && !other;
  if (other) {
    obs::Log(obs::Severity::kInfo,
             "the policies sample in another precision than the run trains in; their rollouts are "
             "corrected by importance weights (ppo.max_importance_weight)",
             {{"run", run_id_},
              {"policies", publisher_.other_precision()},
              {"training", config_.precision}});
  }
  return absl::OkStatus();
}

absl::Status RunDriver::NoteDevices(const Collected& collected) {
  RunPins noted = pins_;
  for (const auto& [role, classes] : collected.devices) {
    if (!classes.empty()) noted.devices[role].insert(classes.begin(), classes.end());
  }
  if (noted == pins_) return absl::OkStatus();
  const std::string reason = NotRepeatable(noted);
  if (reason != NotRepeatable(pins_)) {
    obs::Log(obs::Severity::kWarning, "the run is not repeatable to the bit",
             {{"run", run_id_}, {"reason", reason}});
  }
  pins_ = std::move(noted);
  return parts_.ledger->SetPins(run_id_, pins_);
}

absl::Status RunDriver::Open() {
  MELLOW_ASSIGN_OR_RETURN(const RunRecord run, parts_.ledger->GetRun(run_id_));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<StepRecord> steps,
                          parts_.ledger->Steps(run_id_, 0, kAllSteps));
  for (const StepRecord& step : steps) adapters_.push_back(step.adapter);
  if (!steps.empty()) {
    response_tokens_mean_ = steps.back().response_tokens_mean;
    // Other runs may have taken its place there since.
    parts_.metrics->SetStep(run_id_, steps.front());
    parts_.metrics->SetStep(run_id_, steps.back());
  }

  if (run.start) {
    start_ = *run.start;
  } else {
    // A fresh adapter equals the base model, which every node has as version 0.
    if (!config_.start_adapter.empty()) {
      MELLOW_ASSIGN_OR_RETURN(start_.version,
                              parts_.ledger->NewVersion(parts_.registry->LargestVersion()));
    }
    MELLOW_RETURN_IF_ERROR(parts_.ledger->SetRunStart(run_id_, start_));
  }
  MELLOW_ASSIGN_OR_RETURN(trips_, parts_.ledger->Trips(run_id_));
  if (config_.guard) {
    guard_.emplace(*config_.guard, lag());
    for (const StepRecord& step : steps) {
      // What it finds again is in the ledger, with the step.
      (void)guard_->Observe(step);
      if (step.trip) guard_->WentBack(step.trip->good_step);
    }
    parts_.metrics->SetGuardTrips(run_id_, trips_);
  }
  return OpenAtLearner();
}

absl::Status RunDriver::OpenAtLearner() {
  const int committed = static_cast<int>(adapters_.size());
  OpenCall call{.run_id = LearnerRunId(run_id_, trips_.size()),
                .ppo = config_.ppo,
                .start_adapter = config_.start_adapter,
                .start_version = begun_with().version};
  if (config_.guard) {
    // The good version is that of the newest step in the last window of a trip, the lag and two
    // more before the last step.
    call.keep_checkpoints = config_.guard->window + lag() + 2;
  }
  if (!trips_.empty()) {
    // The fork before has its weights of the beginning as those of the step at which it began.
    const int before = trips_.size() > 1 ? trips_[trips_.size() - 2].step : 0;
    call.fork = {.run_id = LearnerRunId(run_id_, trips_.size() - 1),
                 .step = std::max(trips_.back().good_step, before),
                 .after_step = since(),
                 .learning_rate_factor = std::pow(config_.guard->learning_rate_factor,
                                                  static_cast<double>(trips_.size()))};
  }
  learner_.emplace(
      std::move(call), [this](int last_step) { return TrainedAfter(last_step); }, parts_.registry,
      parts_.clients, observer_, signals_);
  MELLOW_ASSIGN_OR_RETURN(const OpenAnswer open, learner_->Open());
  observer_->OnOpened(open.parameters);
  learner_step_ = open.last_step;
  value_head_ = {open.adapter, open.value_head};
  if (learner_step_ > committed + 1) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the learner has ", learner_step_, " steps of run ", run_id_, " and the ledger ", committed,
        ": the checkpoints or the ledger are of another time"));
  }
  if (learner_step_ == 0 && start_.version > 0 && start_.sha256.empty()) {
    start_.sha256 = open.adapter.sha256;
    MELLOW_RETURN_IF_ERROR(parts_.ledger->SetRunStart(run_id_, start_));
  }
  if (!trips_.empty() && learner_step_ == since() && trips_.back().good_path.empty()) {
    GuardTrip& trip = trips_.back();
    // A fresh adapter has a hash of its own only now that it has a version.
    if (trip.good.sha256.empty()) trip.good.sha256 = open.adapter.sha256;
    trip.good_path = open.adapter_path;
    MELLOW_RETURN_IF_ERROR(
        parts_.ledger->SetTripGood(run_id_, trip.step, trip.good, trip.good_path));
  }
  const AdapterRef& current = committed == since() ? begun_with() : adapters_.back();
  if (learner_step_ == committed && !SameWeights(open.adapter, current)) {
    return absl::FailedPreconditionError(
        absl::StrCat("after step ", committed, " the learner has adapter ", ToString(open.adapter),
                     " and the ledger ", ToString(current)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TrainedStep>> RunDriver::TrainedAfter(int last_step) {
  const int committed = static_cast<int>(adapters_.size());
  if (last_step < since()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the learner has ", last_step, " steps of run ", run_id_,
                     ", which went back after step ", since(), ": it is of an earlier version"));
  }
  const int step = last_step + 1;
  if (step > committed + (trained_ ? 1 : 0)) return std::nullopt;
  const AdapterRef& adapter = step <= committed ? adapters_[step - 1] : *trained_;
  MELLOW_ASSIGN_OR_RETURN(std::vector<Rollout> rollouts, parts_.ledger->Rollouts(run_id_, step));
  if (static_cast<int>(rollouts.size()) != config_.batch_size) {
    return absl::FailedPreconditionError(
        absl::StrCat("the learner has ", last_step, " steps of run ", run_id_, " and the ledger ",
                     committed, ", and the rollouts of step ", step,
                     " are not kept anymore: the checkpoints or the ledger are of another time"));
  }
  return TrainedStep{CallFor(step, std::move(rollouts), adapter.version), adapter};
}

std::optional<AdapterRef> RunDriver::Reference() const {
  if (!nodes_have_learners_model_ || config_.full_kl) return std::nullopt;
  return config_.reference_is_start ? start_ : AdapterRef{};
}

std::optional<ReferenceWeights> RunDriver::ReferenceFor(const AdapterRef& weights) {
  const std::optional<AdapterRef> ref = Reference();
  if (!ref || SameWeights(*ref, weights)) return std::nullopt;
  if (reference_) return reference_;
  ReferenceWeights reference{*ref, nullptr};
  if (ref->version > 0) {
    absl::StatusOr<adapters::PeftFiles> files =
        parts_.adapters->Read(parts_.adapters->FolderOf(run_id_, ref->version), ref->sha256);
    if (!files.ok()) {
      obs::Log(obs::Severity::kWarning,
               "the policy nodes cannot get the reference; the learner computes its log-probs",
               {{"run", run_id_}, {"error", files.status().ToString()}});
      return std::nullopt;
    }
    reference.files = std::make_shared<const adapters::PeftFiles>(*std::move(files));
  }
  reference_ = std::move(reference);
  return reference_;
}

TrainCall RunDriver::CallFor(int step, std::vector<Rollout> rollouts, int64_t new_version) const {
  const AdapterRef weights = WeightsFor(step);
  const std::optional<AdapterRef> reference = Reference();
  const bool sampled_by_reference = reference && SameWeights(*reference, weights);
  for (Rollout& rollout : rollouts) {
    rollout.adapter = weights;
    if (!sampled_by_reference) continue;
    rollout.reference = *reference;
    rollout.reference_logprobs = rollout.logprobs;
  }
  return {.run_id = LearnerRunId(run_id_, trips_.size()),
          .step = step,
          .rollouts = std::move(rollouts),
          .new_version = new_version,
          .sampler_precision = publisher_.other_precision()};
}

AdapterRef RunDriver::WeightsFor(int step) const {
  const int after = std::max(since(), step - 1 - lag());
  return after == since() ? begun_with() : adapters_[after - 1];
}

absl::StatusOr<CollectTask> RunDriver::Prepare(int step) {
  CollectTask task{.run_id = run_id_, .step = step, .weights = WeightsFor(step)};
  MELLOW_ASSIGN_OR_RETURN(task.prompts, StepPrompts(*prompts_, config_, step));
  task.served = task.weights;
  task.expected_tokens = response_tokens_mean_;
  // Values are those of the weights that train; older weights sampled for a step that is ahead.
  const bool current = lag() == 0 || step == since() + 1;
  if (nodes_have_learners_model_ && current && SameWeights(value_head_.weights, task.weights))
    task.value_head = value_head_.bytes;
  task.reference = ReferenceFor(task.weights);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<Rollout> kept, parts_.ledger->Rollouts(run_id_, step));
  if (kept.size() < task.prompts.size()) {
    MELLOW_ASSIGN_OR_RETURN(task.served, Serve(task.weights, task.prompts));
  }
  return task;
}

CollectorParts RunDriver::PartsFor(RunObserver* observer) const {
  return {parts_.ledger,
          parts_.registry,
          parts_.clients,
          parts_.metrics,
          parts_.tokenizer,
          observer,
          {signals_.stop, collect_shutdown_.token()},
          parts_.decoder_start_token_id};
}

absl::StatusOr<Collected> RunDriver::Collect(const CollectTask& task, RunObserver* observer) const {
  return CollectStep(PartsFor(observer), config_, task);
}

absl::StatusOr<AdapterRef> RunDriver::Serve(const AdapterRef& weights,
                                            absl::Span<const Prompt> prompts) {
  return publisher_.Serve(weights, trips_.empty() ? 0 : trips_.back().good_step, prompts,
                          /*first=*/adapters_.empty(), &*learner_);
}

absl::Status RunDriver::RunSelfTest(const std::vector<Rollout>& rollouts) {
  observer_->OnActivity("self-test");
  MELLOW_ASSIGN_OR_RETURN(
      const SelfTestFigures figures,
      SelfTest(rollouts, config_.reference_is_start, parts_.canary_bound, publisher_.PolicyBound(),
               [this](const std::vector<TokenPair>& pairs, bool reference) {
                 return learner_->ScoreTokens(pairs, reference);
               }));
  obs::Log(obs::Severity::kInfo, "self-test passed",
           {{"run", run_id_},
            {"sampler_gap", figures.sampler_gap},
            {"batch_gap", figures.batch_gap},
            {"value_gap", figures.value_gap},
            {"node_reference_gap", figures.node_reference_gap},
            {"reference_gap", figures.reference_gap},
            {"reference_tested", figures.reference_tested}});
  return absl::OkStatus();
}

absl::StatusOr<TrainAnswer> RunDriver::Train(int step, std::vector<Rollout> rollouts) {
  absl::StatusOr<Collected> ahead = AskedToStop();
  std::jthread collecting;
  const bool collect_ahead = lag() > 0 && step < config_.steps;
  if (collect_ahead) {
    MELLOW_ASSIGN_OR_RETURN(CollectTask task, Prepare(step + 1));
    collecting = std::jthread(
        [&ahead, this, task = std::move(task)] { ahead = Collect(task, activity_.second()); });
  }
  const auto train = [&]() -> absl::StatusOr<TrainAnswer> {
    MELLOW_ASSIGN_OR_RETURN(
        const int64_t version,
        parts_.ledger->StepVersion(run_id_, step, parts_.registry->LargestVersion()));
    const TrainCall call = CallFor(step, std::move(rollouts), version);
    MELLOW_ASSIGN_OR_RETURN(TrainAnswer answer,
                            learner_->Train(call, absl::StrCat("step ", step, ": train")));
    if (answer.adapter.version != call.new_version) {
      return absl::InternalError(absl::StrCat("the learner made adapter ", ToString(answer.adapter),
                                              " for step ", step, ", not version ",
                                              call.new_version));
    }
    learner_step_ = step;
    trained_ = answer.adapter;
    value_head_ = {answer.adapter, answer.value_head};
    return answer;
  };
  absl::StatusOr<TrainAnswer> answer = train();
  if (!collect_ahead) return answer;
  if (!answer.ok()) abandon_.request_stop();
  // The nodes keep the adapter that samples the next step until that is done; a step whose
  // successor is not complete is not committed, because its adapter would replace that one.
  collecting.join();
  activity_.ClearSecond();
  MELLOW_RETURN_IF_ERROR(answer.status());
  MELLOW_ASSIGN_OR_RETURN(next_, std::move(ahead));
  return answer;
}

absl::Status RunDriver::Step(int step) {
  if (!next_) {
    MELLOW_ASSIGN_OR_RETURN(const CollectTask task, Prepare(step));
    MELLOW_ASSIGN_OR_RETURN(next_, Collect(task, observer_));
  }
  const Collected collected = *std::exchange(next_, std::nullopt);
  if (stopping()) return AskedToStop();
  MELLOW_RETURN_IF_ERROR(NoteDevices(collected));
  const std::vector<Rollout>& rollouts = collected.rollouts;
  StepRecord record{.step = step};
  Summarize(rollouts, &record);
  response_tokens_mean_ = record.response_tokens_mean;
  if (step == 1 && learner_step_ == 0) MELLOW_RETURN_IF_ERROR(RunSelfTest(rollouts));
  if (config_.guard && config_.guard->judge) {
    const SteadyTime judge_began = SteadyTime::Now();
    MELLOW_ASSIGN_OR_RETURN(const std::vector<Prompt> prompts,
                            StepPrompts(*prompts_, config_, step));
    MELLOW_ASSIGN_OR_RETURN(record.judge,
                            JudgeStep(PartsFor(observer_), config_, step, prompts, rollouts));
    record.phase_seconds["judge"] = absl::ToDoubleSeconds(SteadyTime::Now() - judge_began);
  }

  const SteadyTime train_began = SteadyTime::Now();
  MELLOW_ASSIGN_OR_RETURN(TrainAnswer trained, Train(step, rollouts));
  record.phase_seconds["train"] = absl::ToDoubleSeconds(SteadyTime::Now() - train_began);
  if (stopping()) return AskedToStop();
  record.adapter = trained.adapter;
  record.adapter_path = trained.adapter_path;
  record.stats = std::move(trained.stats);
  record.staleness = step > since() + 1 ? lag() : 0;
  if (guard_) {
    const std::optional<GuardFinding> finding = guard_->Observe(record);
    if (record.judge) record.judge->gap = guard_->judge_gap();
    if (finding) MELLOW_RETURN_IF_ERROR(Trip(*finding, &record));
  }
  const SteadyTime publish_began = SteadyTime::Now();
  if (!record.trip) {
    MELLOW_RETURN_IF_ERROR(
        publisher_.Publish(step, trained.adapter, rollouts, start_.version, &*learner_));
    record.phase_seconds["canary"] = parts_.supervisor->times().canary_seconds;
    record.phase_seconds["publish"] =
        std::max(0.0, absl::ToDoubleSeconds(SteadyTime::Now() - publish_began) -
                          record.phase_seconds["canary"]);
  }
  record.phase_seconds["generate"] = collected.generate_seconds;
  record.phase_seconds["reward"] = collected.reward_seconds;
  record.phase_seconds["reference"] = collected.reference_seconds;
  if (collected.tokens_sampled > 0 && collected.generate_seconds > 0) {
    record.tokens_per_second =
        static_cast<double>(collected.tokens_sampled) / collected.generate_seconds;
  }
  const SteadyTime now = SteadyTime::Now();
  record.seconds = absl::ToDoubleSeconds(now - last_commit_);
  record.committed_ms = absl::ToUnixMillis(absl::Now());
  MELLOW_RETURN_IF_ERROR(parts_.ledger->CommitStep(run_id_, record));
  last_commit_ = now;
  adapters_.push_back(record.adapter);
  trained_.reset();
  observer_->OnStep(record);
  if (!record.trip) return absl::OkStatus();
  trips_.push_back(*record.trip);
  guard_->WentBack(record.trip->good_step);
  next_.reset();  // sampled by what is given up
  parts_.metrics->SetGuardTrips(run_id_, trips_);
  obs::Log(obs::Severity::kError, "the guard took the run back",
           {{"run", run_id_}, {"step", step}, {"reason", record.trip->reason}});
  return OpenAtLearner();
}

}  // namespace mellow::orchestrator
