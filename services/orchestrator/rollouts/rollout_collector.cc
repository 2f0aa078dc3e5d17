#include "services/orchestrator/rollouts/rollout_collector.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/leases/shard_scheduler.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/rollouts/leased_work.h"
#include "services/orchestrator/rollouts/reward_scoring.h"

namespace mellow::orchestrator {
namespace {

// Shards that an accelerator gets at once, so that it does not idle between two; a CPU node gets
// one.
constexpr int kAcceleratorShards = 4;
// Waiting for nothing but log-probs under the reference, which the learner can compute too, ends
// after as long as the sampling took and this.
constexpr absl::Duration kReferencePatience = absl::Seconds(10);

int PolicyShards(const NodeHandle& node) {
  return absl::StartsWith(node.device, "cuda") ? kAcceleratorShards : 1;
}

// All state belongs to the thread that calls Run; calls run on their own threads, see nothing of it
// but the constant tasks, and post what came to the mailbox.
class Collector {
 public:
  Collector(const CollectorParts& parts, const RunConfig& config, const CollectTask& task)
      : parts_(parts),
        config_(config),
        task_(task),
        value_head_sha256_(Sha256Hex(task.value_head)),
        rollouts_(task.prompts.size()),
        sampling_(NodeRole::kPolicy, Doing("generate"), WorkParts(),
                  ShardScheduler(SamplingWork(), config.lease), PolicyShards,
                  [this](int shard, const NodeHandle& node) { return Sample(shard, node); }),
        scoring_(
            NodeRole::kReward, Doing("score"), WorkParts(),
            ShardScheduler(ScoringWork(), config.lease, /*offered=*/false),
            [](const NodeHandle&) { return kTextShards; },
            [this](int shard, const NodeHandle& node) { return Score(shard, node); }) {
    if (!task.reference) return;
    // At nodes that have nothing to sample. Scoring a text takes a node no longer than sampling it
    // did; what no node does, the learner computes.
    reference_.emplace(
        NodeRole::kPolicy, Doing("score under the reference"), WorkParts(),
        ShardScheduler(SamplingWork(), config.lease, /*offered=*/false),
        [this](const NodeHandle& node) { return sampling_.Occupies(node.node_id) ? 0 : 1; },
        [this](int shard, const NodeHandle& node) { return ScoreReference(shard, node); },
        LeasedWork::Need::kSpare);
  }

  absl::StatusOr<Collected> Run();

 private:
  std::string Doing(absl::string_view what) const {
    return absl::StrCat("step ", task_.step, ": ", what);
  }
  LeasedWork::Parts WorkParts() {
    return {parts_.registry, parts_.metrics, &mailbox_, parts_.signals.shutdown};
  }
  int ShardCount() const {
    const int prompts = static_cast<int>(task_.prompts.size());
    return (prompts + config_.shard_prompts - 1) / config_.shard_prompts;
  }
  // [first, last) positions of a shard's prompts in the step.
  std::pair<size_t, size_t> Range(int shard) const {
    const size_t first = static_cast<size_t>(shard) * config_.shard_prompts;
    return {first, std::min(first + config_.shard_prompts, task_.prompts.size())};
  }
  std::vector<double> SamplingWork() const;  // tokens of each shard
  std::vector<double> ScoringWork() const;   // texts of each shard

  absl::Status LoadFromLedger();
  LeasedWork::Call Sample(int shard, const NodeHandle& node);
  absl::StatusOr<LeasedWork::Call> Score(int shard, const NodeHandle& node);
  absl::StatusOr<std::vector<Rollout>> CheckAnswer(int shard, GenerateAnswer answer) const;
  absl::Status KeepRollouts(int shard, std::vector<Rollout> rollouts, int64_t tokens);
  absl::Status KeepScores(int shard, const std::vector<orchestrator::Score>& scores);
  LeasedWork::Call ScoreReference(int shard, const NodeHandle& node);
  absl::Status KeepReference(int shard, std::vector<std::vector<float>> logprobs);
  // The shard is sampled: everything else of it may begin.
  void OfferForScoring(int shard);
  // Lets whoever is ready begin what may begin.
  absl::Status Advance(SteadyTime now);
  [[nodiscard]] absl::Status Failure() const;
  // Whether more than scores may still come, and is worth the time. `since`: when nothing else was
  // left to do.
  bool WaitsForReference(SteadyTime now, SteadyTime since) const;
  void ReportActivity();
  bool stopping() const {
    return parts_.signals.stop.stop_requested() || parts_.signals.shutdown.stop_requested();
  }

  const CollectorParts& parts_;
  const RunConfig& config_;
  const CollectTask& task_;
  const std::string value_head_sha256_;
  std::vector<Rollout> rollouts_;  // by position; empty response: not there yet
  Collected result_;
  Mailbox mailbox_;
  LeasedWork sampling_;
  LeasedWork scoring_;
  std::optional<LeasedWork> reference_;
  SteadyTime begin_;
};

std::vector<double> Collector::SamplingWork() const {
  std::vector<double> work;
  for (int shard = 0; shard < ShardCount(); ++shard) {
    const auto [first, last] = Range(shard);
    double tokens = 0;
    for (size_t i = first; i < last; ++i) {
      const double allowed =
          task_.prompts[i].max_new_tokens.value_or(config_.sampling.max_new_tokens.value_or(128));
      tokens += task_.expected_tokens > 0 ? std::min(allowed, task_.expected_tokens) : allowed;
    }
    work.push_back(std::max(1.0, tokens));
  }
  return work;
}

std::vector<double> Collector::ScoringWork() const {
  std::vector<double> work;
  for (int shard = 0; shard < ShardCount(); ++shard) {
    const auto [first, last] = Range(shard);
    work.push_back(static_cast<double>(last - first));
  }
  return work;
}

absl::Status Collector::LoadFromLedger() {
  MELLOW_ASSIGN_OR_RETURN(std::vector<Rollout> kept,
                          parts_.ledger->Rollouts(task_.run_id, task_.step));
  const uint64_t base = task_.prompts.empty() ? 0 : task_.prompts.front().prompt_index;
  for (Rollout& rollout : kept) {
    const uint64_t position = rollout.prompt_index - base;
    if (rollout.prompt_index < base || position >= rollouts_.size()) {
      return absl::DataLossError(
          absl::StrCat("ledger: rollout ", rollout.prompt_index, " is not of step ", task_.step));
    }
    if (!SameWeights(rollout.adapter, task_.weights)) {
      return absl::DataLossError(absl::StrCat(
          "ledger: rollout ", rollout.prompt_index, " of step ", task_.step, " was sampled by ",
          ToString(rollout.adapter), ", not by ", ToString(task_.weights)));
    }
    rollouts_[position] = std::move(rollout);
  }
  for (int shard = 0; shard < ShardCount(); ++shard) {
    const auto [first, last] = Range(shard);
    const auto begin = rollouts_.begin() + first;
    const auto end = rollouts_.begin() + last;
    if (std::any_of(begin, end, [](const Rollout& r) { return r.response_ids.empty(); })) continue;
    sampling_.MarkDone(shard);
    OfferForScoring(shard);
  }
  return absl::OkStatus();
}

void Collector::OfferForScoring(int shard) {
  const auto [first, last] = Range(shard);
  const auto begin = rollouts_.begin() + static_cast<ptrdiff_t>(first);
  const auto end = rollouts_.begin() + static_cast<ptrdiff_t>(last);
  if (std::all_of(begin, end, [](const Rollout& r) { return r.score.has_value(); })) {
    scoring_.MarkDone(shard);
  } else {
    scoring_.Offer(shard);
  }
  if (!reference_) return;
  if (std::none_of(begin, end, [](const Rollout& r) { return r.reference_logprobs.empty(); })) {
    reference_->MarkDone(shard);
  } else {
    reference_->Offer(shard);
  }
}

LeasedWork::Call Collector::Sample(int shard, const NodeHandle& node) {
  const auto [first, last] = Range(shard);
  GenerateCall request;
  request.prompts.assign(task_.prompts.begin() + first, task_.prompts.begin() + last);
  request.sampling = config_.sampling;
  request.seed = config_.seed;
  request.adapter_version = task_.served.version;
  request.value_head = task_.value_head;
  return [this, shard, request = std::move(request),
          client = parts_.clients->Policy(node.node_id, node.address)](std::stop_token stop) {
    LeasedWork::Outcome outcome;
    absl::StatusOr<GenerateAnswer> answer =
        client->Generate(request, config_.lease * LeasedWork::kCallLeases, std::move(stop));
    if (!answer.ok()) {
      outcome.status = answer.status();
      return outcome;
    }
    if (!SameWeights(answer->adapter, task_.weights)) {
      outcome.wrong_weights = true;
      outcome.status =
          absl::UnavailableError(absl::StrCat("sampled with adapter ", ToString(answer->adapter),
                                              " instead of ", ToString(task_.weights)));
      return outcome;
    }
    absl::StatusOr<std::vector<Rollout>> rollouts = CheckAnswer(shard, *std::move(answer));
    outcome.status = rollouts.status();
    if (!rollouts.ok()) return outcome;
    int64_t tokens = 0;
    for (const Rollout& rollout : *rollouts) {
      tokens += static_cast<int64_t>(rollout.response_ids.size());
    }
    outcome.work = static_cast<double>(tokens);
    outcome.record = [this, shard, tokens, rollouts = *std::move(rollouts)]() mutable {
      return KeepRollouts(shard, std::move(rollouts), tokens);
    };
    return outcome;
  };
}

absl::StatusOr<std::vector<Rollout>> Collector::CheckAnswer(int shard,
                                                            GenerateAnswer answer) const {
  const auto [first, last] = Range(shard);
  if (answer.generations.size() != last - first) {
    return absl::InternalError(
        absl::StrCat(answer.generations.size(), " generations for ", last - first, " prompts"));
  }
  std::vector<Rollout> rollouts;
  for (size_t i = first; i < last; ++i) {
    Generation& generation = answer.generations[i - first];
    const Prompt& prompt = task_.prompts[i];
    if (generation.ids.empty() || generation.ids.size() != generation.logprobs.size()) {
      return absl::InternalError(absl::StrCat("prompt ", prompt.prompt_index, ": ",
                                              generation.ids.size(), " ids with ",
                                              generation.logprobs.size(), " log-probs"));
    }
    // A node of an older version knows of no values.
    if (!generation.values.empty() && generation.values.size() != generation.ids.size()) {
      return absl::InternalError(absl::StrCat("prompt ", prompt.prompt_index, ": ",
                                              generation.ids.size(), " ids with ",
                                              generation.values.size(), " values"));
    }
    for (const auto& [what, numbers] :
         {std::pair("log-prob", &generation.logprobs), std::pair("value", &generation.values)}) {
      if (!std::all_of(numbers->begin(), numbers->end(),
                       [](float x) { return std::isfinite(x); })) {
        return absl::InternalError(
            absl::StrCat("prompt ", prompt.prompt_index, ": a ", what, " is not finite"));
      }
    }
    rollouts.push_back({.prompt_index = prompt.prompt_index,
                        .query_ids = prompt.ids,
                        .response_ids = std::move(generation.ids),
                        .logprobs = std::move(generation.logprobs),
                        .finished = generation.finished,
                        .adapter = answer.adapter});
    if (task_.value_head.empty() || generation.values.empty()) continue;
    rollouts.back().values = std::move(generation.values);
    rollouts.back().value_head_sha256 = value_head_sha256_;
  }
  return rollouts;
}

absl::Status Collector::KeepRollouts(int shard, std::vector<Rollout> rollouts, int64_t tokens) {
  MELLOW_ASSIGN_OR_RETURN(const int added,
                          parts_.ledger->AddRollouts(task_.run_id, task_.step, rollouts));
  parts_.metrics->CountRollouts(added);
  result_.tokens_sampled += tokens;
  const size_t first = Range(shard).first;
  for (size_t i = 0; i < rollouts.size(); ++i) {
    // Where a shard was half there, the first delivery of each rollout stays.
    Rollout& place = rollouts_[first + i];
    if (place.response_ids.empty()) place = std::move(rollouts[i]);
  }
  OfferForScoring(shard);
  return absl::OkStatus();
}

absl::StatusOr<LeasedWork::Call> Collector::Score(int shard, const NodeHandle& node) {
  const auto [first, last] = Range(shard);
  std::vector<std::string> texts;
  for (size_t i = first; i < last; ++i) {
    MELLOW_ASSIGN_OR_RETURN(std::string text,
                            ScoredText(config_, *parts_.tokenizer, parts_.decoder_start_token_id,
                                       task_.prompts[i], rollouts_[i]));
    texts.push_back(std::move(text));
  }
  return ScoreTexts(parts_.clients, node, std::move(texts), {config_.reward, "reward"},
                    config_.lease * LeasedWork::kCallLeases,
                    [this, shard](const auto& scores) { return KeepScores(shard, scores); });
}

absl::Status Collector::KeepScores(int shard, const std::vector<orchestrator::Score>& scores) {
  const auto [first, last] = Range(shard);
  std::vector<PromptScore> kept;
  for (size_t i = first; i < last; ++i) {
    rollouts_[i].score = scores[i - first];
    kept.push_back({rollouts_[i].prompt_index, scores[i - first]});
  }
  MELLOW_RETURN_IF_ERROR(parts_.ledger->SetScores(task_.run_id, task_.step, kept));
  parts_.metrics->CountScores(static_cast<int>(kept.size()));
  return absl::OkStatus();
}

LeasedWork::Call Collector::ScoreReference(int shard, const NodeHandle& node) {
  std::vector<TokenPair> pairs;
  const auto [first, last] = Range(shard);
  for (size_t i = first; i < last; ++i)
    pairs.push_back({rollouts_[i].query_ids, rollouts_[i].response_ids});
  return [this, shard, pairs = std::move(pairs),
          client = parts_.clients->Policy(node.node_id, node.address)](std::stop_token stop) {
    LeasedWork::Outcome outcome;
    absl::StatusOr<std::vector<std::vector<float>>> logprobs =
        ScoreUnderReference(client.get(), pairs, *task_.reference, std::move(stop));
    outcome.status = logprobs.status();
    if (!logprobs.ok()) return outcome;
    outcome.record = [this, shard, logprobs = *std::move(logprobs)]() mutable {
      return KeepReference(shard, std::move(logprobs));
    };
    return outcome;
  };
}

absl::Status Collector::KeepReference(int shard, std::vector<std::vector<float>> logprobs) {
  std::vector<PromptReference> kept;
  const size_t first = Range(shard).first;
  for (size_t i = 0; i < logprobs.size(); ++i) {
    Rollout& rollout = rollouts_[first + i];
    rollout.reference = task_.reference->ref;
    rollout.reference_logprobs = std::move(logprobs[i]);
    kept.push_back({rollout.prompt_index, rollout.reference_logprobs});
  }
  return parts_.ledger->SetReference(task_.run_id, task_.step, task_.reference->ref, kept);
}

void Collector::ReportActivity() {
  std::string text =
      absl::StrCat(Doing("generate "), ShardCount() - sampling_.remaining(), "/", ShardCount(),
                   ", scored ", ShardCount() - scoring_.remaining(), "/", ShardCount());
  if (reference_) {
    absl::StrAppend(&text, ", under the reference ", ShardCount() - reference_->remaining(), "/",
                    ShardCount());
  }
  for (const LeasedWork* work : {&sampling_, &scoring_}) {
    if (const std::string waits = work->WaitsFor(); !waits.empty()) {
      absl::StrAppend(&text, "; ", waits);
    }
  }
  parts_.observer->OnActivity(text);
}

absl::Status Collector::Advance(SteadyTime now) {
  sampling_.Advance(now, stopping());
  scoring_.Advance(now, stopping());
  if (reference_ && !stopping()) reference_->Advance(now, /*start_none=*/false);
  return Failure();
}

absl::Status Collector::Failure() const {
  MELLOW_RETURN_IF_ERROR(sampling_.failure());
  MELLOW_RETURN_IF_ERROR(scoring_.failure());
  return reference_ ? reference_->failure() : absl::OkStatus();
}

bool Collector::WaitsForReference(SteadyTime now, SteadyTime since) const {
  return reference_ && reference_->remaining() > 0 && reference_->calling() && !stopping() &&
         now < since + (std::max(begin_, sampling_.last_done()) - begin_) + kReferencePatience;
}

absl::StatusOr<Collected> Collector::Run() {
  begin_ = SteadyTime::Now();
  MELLOW_RETURN_IF_ERROR(LoadFromLedger());
  const NodeRegistry::Subscription subscription(parts_.registry, [this] { mailbox_.Wake(); });
  const std::stop_callback on_stop(parts_.signals.stop, [this] { mailbox_.Wake(); });
  const std::stop_callback on_shutdown(parts_.signals.shutdown, [this] { mailbox_.Wake(); });
  while (true) {
    const SteadyTime now = SteadyTime::Now();
    MELLOW_RETURN_IF_ERROR(Advance(now));
    const SteadyTime scored = std::max({begin_, sampling_.last_done(), scoring_.last_done()});
    const bool complete = scoring_.remaining() == 0;
    if (complete && !WaitsForReference(now, scored)) break;
    ReportActivity();
    // What was begun is finished and recorded; a shutdown has cancelled it.
    if (stopping() && !sampling_.calling() && !scoring_.calling()) {
      return AskedToStop();
    }
    SteadyTime next = std::min(sampling_.NextEvent(now), scoring_.NextEvent(now));
    if (reference_) next = std::min(next, reference_->NextEvent(now));
    if (complete) next = std::min(next, now + kReferencePatience);
    mailbox_.RunUntil(next);
    MELLOW_RETURN_IF_ERROR(Failure());
  }
  const SteadyTime sampled = std::max(begin_, sampling_.last_done());
  const SteadyTime scored = std::max(sampled, scoring_.last_done());
  result_.rollouts = std::move(rollouts_);
  result_.devices = {{NodeRole::kPolicy, sampling_.devices()},
                     {NodeRole::kReward, scoring_.devices()}};
  if (reference_)
    result_.devices[NodeRole::kPolicy].insert(reference_->devices().begin(),
                                              reference_->devices().end());
  result_.generate_seconds = absl::ToDoubleSeconds(sampled - begin_);
  result_.reward_seconds = absl::ToDoubleSeconds(scored - sampled);
  result_.reference_seconds = absl::ToDoubleSeconds(SteadyTime::Now() - scored);
  return std::move(result_);
}

}  // namespace

absl::StatusOr<Collected> CollectStep(const CollectorParts& parts, const RunConfig& config,
                                      const CollectTask& task) {
  return Collector(parts, config, task).Run();
}

}  // namespace mellow::orchestrator
