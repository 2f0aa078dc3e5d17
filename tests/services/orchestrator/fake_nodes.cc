#include "tests/services/orchestrator/fake_nodes.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/ledger/ledger_codec.h"

namespace mellow::orchestrator {
namespace {

uint32_t HashOf(const std::string& text) {
  return static_cast<uint32_t>(std::strtoul(Sha256Hex(text).substr(0, 8).c_str(), nullptr, 16));
}

absl::Status Down(const std::string& node) {
  return absl::UnavailableError(absl::StrCat(node, ": connection refused"));
}

std::string ValueHeadOf(const AdapterRef& weights) { return "head of " + weights.sha256; }

void SetModel(const ModelPin& model, NodeReport* report) {
  report->capacity.model_sha256 = model.sha256;
  report->capacity.precision = model.precision;
}

}  // namespace

std::vector<float> FakeLogProbs(const std::string& sha256, const std::vector<int32_t>& source,
                                const std::vector<int32_t>& target) {
  std::vector<float> logprobs;
  std::string text = sha256 + PackInts(source);
  for (const int32_t id : target) {
    text += PackInts({id});
    logprobs.push_back(-0.1f - static_cast<float>(HashOf(text) % 1000) / 100.0f);
  }
  return logprobs;
}

std::vector<float> FakeValues(const std::string& sha256, const std::string& value_head,
                              const std::vector<int32_t>& source,
                              const std::vector<int32_t>& target) {
  return FakeLogProbs(sha256 + value_head, source, target);
}

absl::StatusOr<GenerateAnswer> FakePolicy::Generate(const GenerateCall& call,
                                                    std::stop_token stop) {
  if (on_generate) MELLOW_RETURN_IF_ERROR(on_generate(call, stop));
  MutexLock lock(&mutex_);
  if (down_) return Down(node_id_);
  std::string said;
  std::string real;
  if (call.adapter_version > 0) {
    if (!said_.contains(call.adapter_version)) {
      return absl::NotFoundError(absl::StrCat("no adapter ", call.adapter_version));
    }
    said = said_[call.adapter_version];
    real = real_[call.adapter_version];
  }
  GenerateAnswer answer{.adapter = {call.adapter_version, said}};
  for (const Prompt& prompt : call.prompts) {
    Generation generation;
    const std::string key = absl::StrCat(real, "/", call.seed, "/", prompt.prompt_index);
    const int length =
        std::min(2 + static_cast<int>(HashOf(key) % 5), prompt.max_new_tokens.value_or(100));
    for (int i = 0; i + 1 < length; ++i) {
      generation.ids.push_back(3 + static_cast<int>(HashOf(absl::StrCat(key, "/", i)) % 90));
    }
    generation.ids.push_back(1);
    generation.finished = true;
    generation.logprobs = FakeLogProbs(real, prompt.ids, generation.ids);
    if (!call.value_head.empty())
      generation.values = FakeValues(real, call.value_head, prompt.ids, generation.ids);
    answer.generations.push_back(std::move(generation));
    ++generated;
  }
  return answer;
}

absl::StatusOr<PairScores> FakePolicy::ScoreTokens(absl::Span<const TokenPair> pairs,
                                                   int64_t version, std::stop_token stop) {
  if (on_score_tokens) MELLOW_RETURN_IF_ERROR(on_score_tokens(version, std::move(stop)));
  MutexLock lock(&mutex_);
  if (down_) return Down(node_id_);
  PairScores scores;
  std::string real;
  if (version > 0 && (version == champion_.version || version == candidate_.version ||
                      version == reference_.version)) {
    scores.adapter = version == champion_.version    ? champion_
                     : version == candidate_.version ? candidate_
                                                     : reference_;
    real = keeps_old_weights ? "" : scores.adapter.sha256;
  } else if (version > 0) {
    if (!said_.contains(version)) return absl::NotFoundError(absl::StrCat("no adapter ", version));
    scores.adapter = {version, said_[version]};
    real = real_[version];
  }
  for (const TokenPair& pair : pairs) {
    scores.logprobs.push_back(FakeLogProbs(real, pair.source_ids, pair.target_ids));
  }
  return scores;
}

absl::Status FakePolicy::PublishAdapter(const AdapterRef& ref, const adapters::PeftFiles& files,
                                        wire::Publication as) {
  MutexLock lock(&mutex_);
  if (down_) return Down(node_id_);
  if (as == wire::Publication::kChampion && ref.version == 0) {
    champion_ = {};
    return absl::OkStatus();
  }
  // As the real one: the bytes of what is here are not looked at.
  const auto here = said_.find(ref.version);
  if (here == said_.end() && files.safetensors != ref.sha256)
    return absl::DataLossError("wrong checksum");
  if (as == wire::Publication::kCandidate) {
    candidate_ = ref;
    return absl::OkStatus();
  }
  if (as == wire::Publication::kChampion) {
    champion_ = ref;
    champions_.push_back(ref);
    return absl::OkStatus();
  }
  if (as == wire::Publication::kReference) {
    reference_ = ref;
    ++references;
    return absl::OkStatus();
  }
  if (said_.contains(ref.version)) {
    return said_[ref.version] == ref.sha256 ? absl::OkStatus() : absl::AlreadyExistsError("other");
  }
  if (!said_.empty() && said_.rbegin()->first > ref.version) {
    return absl::FailedPreconditionError("older than the newest");
  }
  const std::string old = real_.empty() ? "" : real_.rbegin()->second;
  said_[ref.version] = ref.sha256;
  real_[ref.version] = keeps_old_weights ? old : ref.sha256;
  ++published;
  return absl::OkStatus();
}

AdapterRef FakePolicy::champion() const {
  MutexLock lock(&mutex_);
  return champion_;
}

std::vector<AdapterRef> FakePolicy::champions() const {
  MutexLock lock(&mutex_);
  return champions_;
}

NodeReport FakePolicy::Report() const {
  MutexLock lock(&mutex_);
  NodeReport report{.node_id = node_id_,
                    .role = NodeRole::kPolicy,
                    .address = node_id_,
                    .incarnation = absl::StrCat(life_)};
  SetModel(model, &report);
  report.capacity.device = device;
  report.capacity.max_new_tokens = max_new_tokens;
  report.capacity.max_message_bytes = max_message_bytes;
  report.capacity.tokens_per_second = tokens_per_second;
  for (const auto& [version, sha256] : said_) report.adapters.push_back({version, sha256});
  return report;
}

void FakePolicy::Kill() {
  MutexLock lock(&mutex_);
  down_ = true;
  said_.clear();
  real_.clear();
  champion_ = {};
  candidate_ = {};
  reference_ = {};
}

void FakePolicy::Restart() {
  Kill();
  MutexLock lock(&mutex_);
  down_ = false;
  ++life_;
}

absl::StatusOr<ScoreAnswer> FakeReward::Score(const std::vector<std::string>& texts,
                                              std::stop_token stop) {
  if (on_score) MELLOW_RETURN_IF_ERROR(on_score(texts, stop));
  ScoreAnswer answer{.labels = {"nothate", "hate"}};
  for (const std::string& text : texts) {
    const float toxicity = static_cast<float>(HashOf(text) % 1000) / 1000.0f;
    const float sign = negated ? -1.0f : 1.0f;
    answer.scores.push_back({{sign * (1 - toxicity), sign * toxicity},
                             {1 - toxicity, toxicity},
                             toxic_label == "hate" ? toxicity : 1 - toxicity});
  }
  if (texts != CanaryTexts()) scored += static_cast<int>(texts.size());
  return answer;
}

NodeReport FakeReward::Report() const {
  NodeReport report{.node_id = node_id_, .role = role, .address = node_id_, .incarnation = "1"};
  report.capacity.device = device;
  report.capacity.toxic_label = toxic_label;
  report.capacity.max_request_items = max_request_items;
  report.capacity.max_message_bytes = max_message_bytes;
  SetModel(model, &report);
  return report;
}

absl::StatusOr<OpenAnswer> FakeLearner::OpenRun(const OpenCall& call) {
  MutexLock lock(&mutex_);
  if (down_) return Down("learner");
  auto [it, added] = runs_.try_emplace(call.run_id);
  Run& run = it->second;
  if (added) {
    run.open = call;
    if (ignores_forks) run.open.fork.reset();
    const std::string start = call.start_version == 0 ? "" : Sha256Hex(call.start_adapter);
    run.adapters.push_back({call.start_version, start});
    run.reference = run.adapters.back();
    if (run.open.fork) {
      const Run& from = runs_.at(call.fork->run_id);
      const std::string& sha256 = from.After(call.fork->step).sha256;
      run.adapters.back().sha256 = sha256.empty() ? Sha256Hex("fresh") : sha256;
      run.reference = from.reference;
    }
  } else if (run.open.start_version != call.start_version || run.open.ppo != call.ppo ||
             (!ignores_forks && call.fork &&
              run.open.fork->learning_rate_factor != call.fork->learning_rate_factor)) {
    return absl::FailedPreconditionError("the run was opened with another configuration");
  }
  opened_ = call.run_id;
  return OpenAnswer{run.last_step(),
                    run.adapters.back(),
                    {.trainable = 7, .total = 70},
                    ValueHeadOf(run.adapters.back()),
                    absl::StrCat("/ckpt/", call.run_id, "/", run.last_step())};
}

absl::StatusOr<FakeLearner::Run*> FakeLearner::OpenedRun(const std::string& run_id) {
  if (down_) return Down("learner");
  if (opened_ != run_id) {
    return absl::FailedPreconditionError(absl::StrCat("run ", run_id, " is not open"));
  }
  return &runs_[run_id];
}

absl::Status FakeLearner::CheckNumbers(const Run& run, const Rollout& rollout) {
  const AdapterRef& current = run.adapters.back();
  const std::string head = ValueHeadOf(current);
  if (!rollout.values.empty() &&
      (rollout.value_head_sha256 != Sha256Hex(head) || rollout.adapter.version != current.version ||
       rollout.values !=
           FakeValues(current.sha256, head, rollout.query_ids, rollout.response_ids))) {
    return absl::InvalidArgumentError(
        absl::StrCat("rollout ", rollout.prompt_index, ": values of other weights"));
  }
  const AdapterRef& reference = run.reference;
  if (!rollout.reference_logprobs.empty() &&
      (rollout.reference != reference ||
       rollout.reference_logprobs !=
           FakeLogProbs(reference.sha256, rollout.query_ids, rollout.response_ids))) {
    return absl::InvalidArgumentError(
        absl::StrCat("rollout ", rollout.prompt_index, ": another reference's log-probs"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainAnswer> FakeLearner::Train(const TrainCall& call, std::stop_token stop) {
  if (on_train) on_train(call);
  if (on_train_until) MELLOW_RETURN_IF_ERROR(on_train_until(call, std::move(stop)));
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(Run * run, OpenedRun(call.run_id));
  const int steps = run->last_step();
  TrainAnswer answer;
  if (call.step <= steps) {
    answer.replayed = true;
  } else if (call.step > steps + 1) {
    return absl::FailedPreconditionError("a step out of order");
  } else {
    std::string text = run->adapters.back().sha256;
    if (run->open.fork) absl::StrAppend(&text, "/", run->open.fork->learning_rate_factor);
    for (const Rollout& rollout : call.rollouts) {
      if (!rollout.score) return absl::InvalidArgumentError("a rollout without score");
      MELLOW_RETURN_IF_ERROR(CheckNumbers(*run, rollout));
      given_values += rollout.values.empty() ? 0 : 1;
      given_references += rollout.reference_logprobs.empty() ? 0 : 1;
      absl::StrAppend(&text, "/", rollout.prompt_index, "/", rollout.adapter.sha256, "/",
                      PackInts(rollout.query_ids), PackInts(rollout.response_ids),
                      PackFloats(rollout.logprobs), rollout.score->score);
    }
    run->adapters.push_back({call.new_version, Sha256Hex(text)});
    ++trained;
  }
  answer.adapter = run->After(call.step);
  answer.adapter_path = absl::StrCat("/ckpt/", call.run_id, "/", call.step);
  answer.stats = {{"objective/kl", kl ? kl(call) : 0.5}, {"ppo/returns/mean", 1.5}};
  answer.seconds = 1;
  answer.value_head = ValueHeadOf(answer.adapter);
  return answer;
}

absl::StatusOr<AdapterAnswer> FakeLearner::GetAdapter(const std::string& run_id, int64_t version) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(Run * run, OpenedRun(run_id));
  for (const AdapterRef& ref : run->adapters) {
    if (ref.version == version) return AdapterAnswer{ref, {"{}", ref.sha256}};
  }
  return absl::NotFoundError(absl::StrCat("no adapter ", version));
}

absl::StatusOr<PairScores> FakeLearner::ScoreTokens(const std::string& run_id,
                                                    absl::Span<const TokenPair> pairs,
                                                    bool reference) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(Run * run, OpenedRun(run_id));
  const AdapterRef& ref = reference ? run->reference : run->adapters.back();
  std::string weights = ref.sha256;
  if (other_model || (reference && wrong_reference)) weights += "other";
  PairScores scores{.adapter = ref};
  for (const TokenPair& pair : pairs) {
    scores.logprobs.push_back(FakeLogProbs(weights, pair.source_ids, pair.target_ids));
    if (!reference) {
      scores.values.push_back(
          FakeValues(weights, ValueHeadOf(ref), pair.source_ids, pair.target_ids));
    }
  }
  return scores;
}

SftAnswer FakeLearner::AnswerOf(const SftRun& run) {
  return {.state = run.state,
          .error = std::string(run.failed.message()),
          .code = run.failed.code(),
          .run = absl::StrCat(run.spec, " after ", run.step)};
}

absl::StatusOr<FakeLearner::SftRun*> FakeLearner::OpenedSft(const std::string& run_id) {
  if (down_) return Down("learner");
  if (opened_sft_ == run_id) return &sft_runs_[run_id];
  return absl::NotFoundError(absl::StrCat("run_id ", run_id, ": not in progress here"));
}

absl::Status FakeLearner::CheckRun(const std::string& start_adapter) {
  MutexLock lock(&mutex_);
  if (down_) return Down("learner");
  if (start_adapter == "bad") return absl::NotFoundError("start_adapter: bad: no such folder");
  return absl::OkStatus();
}

absl::Status FakeLearner::CheckSft(const std::string& spec) {
  MutexLock lock(&mutex_);
  if (down_) return Down("learner");
  return spec == "bad" ? bad_spec : absl::OkStatus();
}

absl::StatusOr<SftAnswer> FakeLearner::StartSft(const SftCall& call) {
  MutexLock lock(&mutex_);
  if (down_) return Down("learner");
  if (call.spec == "bad") return bad_spec;
  SftRun& run = sft_runs_[call.run_id];
  run.spec = call.spec;
  if (opened_sft_ != call.run_id || run.state == SftState::kFailed) run.step = run.saved;
  if (opened_sft_ != call.run_id && sft_runs_.contains(opened_sft_))
    sft_runs_[opened_sft_].state = SftState::kStopped;
  opened_sft_ = call.run_id;
  if (run.state != SftState::kDone) run.state = SftState::kRunning;
  run.failed = absl::OkStatus();
  return AnswerOf(run);
}

void FakeLearner::FailSft(const absl::Status& why) {
  MutexLock lock(&mutex_);
  fail_sft_ = why;
}

absl::StatusOr<SftAnswer> FakeLearner::WatchSft(const std::string& run_id, int after_step,
                                                const SftListener& listener, std::stop_token stop) {
  while (true) {
    int next = 0;
    bool train = false;
    {
      MutexLock lock(&mutex_);
      MELLOW_ASSIGN_OR_RETURN(SftRun * run, OpenedSft(run_id));
      train = run->step <= after_step && run->state == SftState::kRunning;
      if (!train && run->step <= after_step) return AnswerOf(*run);
      next = train ? run->step + 1 : after_step + 1;
    }
    if (train) {
      listener.on_activity(absl::StrCat("training step ", next));
      if (on_sft_step) on_sft_step(next);
      MutexLock lock(&mutex_);
      MELLOW_ASSIGN_OR_RETURN(SftRun * run, OpenedSft(run_id));
      if (stop.stop_requested()) return absl::UnavailableError("given up");
      if (run->state != SftState::kRunning) continue;
      if (!fail_sft_.ok()) {
        run->failed = std::exchange(fail_sft_, absl::OkStatus());
        run->state = SftState::kFailed;
        continue;
      }
      run->step = next;
      ++sft_trained;
      if (next % 2 == 0) run->saved = next;
      if (next == kSftSteps) run->state = SftState::kDone;
      if (run->state == SftState::kDone) run->saved = next;
      continue;
    }
    StepRecord record;
    record.step = next;
    record.seconds = 1;
    record.sft = absl::StrCat("the numbers of step ", next);
    MELLOW_RETURN_IF_ERROR(listener.on_step(record));
    after_step = next;
  }
}

absl::StatusOr<SftAnswer> FakeLearner::StopSft(const std::string& run_id) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(SftRun * run, OpenedSft(run_id));
  run->saved = run->step;
  if (run->state == SftState::kRunning) run->state = SftState::kStopped;
  return AnswerOf(*run);
}

NodeReport FakeLearner::Report() const {
  MutexLock lock(&mutex_);
  NodeReport report{.node_id = "learner",
                    .role = NodeRole::kLearner,
                    .address = "learner",
                    .incarnation = absl::StrCat(life_)};
  report.stalled_seconds = stalled_seconds;
  report.capacity.max_message_bytes = max_message_bytes;
  SetModel(model, &report);
  return report;
}

void FakeLearner::Kill() {
  MutexLock lock(&mutex_);
  down_ = true;
  opened_.clear();
  opened_sft_.clear();
}

void FakeLearner::Restart() {
  Kill();
  MutexLock lock(&mutex_);
  down_ = false;
  ++life_;
}

void FakeLearner::LoseNewestStep(const std::string& run_id) {
  MutexLock lock(&mutex_);
  runs_.at(run_id).adapters.pop_back();
}

OpenCall FakeLearner::Opened(const std::string& run_id) const {
  MutexLock lock(&mutex_);
  const auto run = runs_.find(run_id);
  return run == runs_.end() ? OpenCall{} : run->second.open;
}

std::vector<std::string> FakeLearner::Hashes(const std::string& run_id) const {
  MutexLock lock(&mutex_);
  std::vector<std::string> hashes;
  const auto run = runs_.find(run_id);
  if (run == runs_.end()) return hashes;
  for (size_t i = 1; i < run->second.adapters.size(); ++i) {
    hashes.push_back(run->second.adapters[i].sha256);
  }
  return hashes;
}

}  // namespace mellow::orchestrator
