#include "services/orchestrator/rollout_collector.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/linked_stop.h"
#include "services/orchestrator/mailbox.h"
#include "services/orchestrator/retry.h"
#include "services/orchestrator/reward_text.h"
#include "services/orchestrator/shard_scheduler.h"

namespace mellow::orchestrator {
namespace {

// An answer that comes after the lease's deadline may still be the first; a call is given up after
// this many leases.
constexpr int kCallLeases = 4;
// Failures in a row of one shard that are not a matter of waiting, before the run gives up.
constexpr int kMaxShardFailures = 20;
// Shards that an accelerator gets at once, so that it does not idle between two; a CPU node gets
// one.
constexpr int kAcceleratorShards = 4;
constexpr absl::Duration kScoreTimeout = absl::Minutes(10);

int CapacityOf(const NodeHandle& node) {
  return absl::StartsWith(node.device, "cuda") ? kAcceleratorShards : 1;
}

// All state belongs to the thread that calls Run; calls run on their own threads and post what came
// to the mailbox.
class Collector {
 public:
  Collector(const CollectorParts& parts, const RunConfig& config, const CollectTask& task)
      : parts_(parts), config_(config), task_(task), scheduler_(ShardWork(), config.lease) {}

  absl::StatusOr<Collected> Run();

 private:
  struct Call {
    NodeHandle node;
    bool lost = false;  // its node went away; an answer would still count
    std::stop_source give_up;
    std::jthread thread;  // last: joined before the rest goes
  };
  struct ScoreTask {
    int shard = 0;
    int failures = 0;
  };

  int ShardCount() const {
    const int prompts = static_cast<int>(task_.prompts.size());
    return (prompts + config_.shard_prompts - 1) / config_.shard_prompts;
  }
  // [first, last) positions of a shard's prompts in the step.
  std::pair<size_t, size_t> Range(int shard) const {
    const size_t first = static_cast<size_t>(shard) * config_.shard_prompts;
    return {first, std::min(first + config_.shard_prompts, task_.prompts.size())};
  }
  std::vector<double> ShardWork() const;

  absl::Status LoadFromLedger();
  void UpdateNodes(SteadyTime now);
  void StartLeases(SteadyTime now);
  void StartScores(SteadyTime now);
  void StartGenerate(const ShardScheduler::Lease& lease);
  void StartScore(const NodeHandle& node, ScoreTask score);
  void OnGenerated(const ShardScheduler::Lease& lease, absl::Duration took,
                   absl::StatusOr<GenerateAnswer> answer);
  absl::StatusOr<std::vector<Rollout>> CheckAnswer(int shard, GenerateAnswer answer) const;
  void OnScored(const NodeHandle& node, ScoreTask score, absl::StatusOr<ScoreAnswer> answer);
  void ReportActivity(SteadyTime now);
  void Fail(const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
  }
  bool stopping() const {
    return parts_.signals.stop.stop_requested() || parts_.signals.shutdown.stop_requested();
  }

  const CollectorParts& parts_;
  const RunConfig& config_;
  const CollectTask& task_;
  ShardScheduler scheduler_;
  std::vector<Rollout> rollouts_;         // by position; empty response: not there yet
  std::set<std::string> known_policies_;  // that the scheduler was told of
  std::map<std::string, NodeHandle> ready_policies_;
  std::deque<ScoreTask> score_queue_;
  std::map<int, int> shard_failures_;
  std::map<std::string, int> scores_in_flight_;  // by reward node
  int unscored_ = 0;                             // shards
  absl::Status failure_;
  Collected result_;
  SteadyTime last_sampled_;
  Mailbox mailbox_;
  int64_t next_score_ = 0;
  std::map<int64_t, Call> leases_;  // by lease id
  std::map<int64_t, Call> scores_;
};

std::vector<double> Collector::ShardWork() const {
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

absl::Status Collector::LoadFromLedger() {
  rollouts_.resize(task_.prompts.size());
  unscored_ = ShardCount();
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
    scheduler_.MarkDone(shard);
    if (std::all_of(begin, end, [](const Rollout& r) { return r.score.has_value(); })) {
      --unscored_;
    } else {
      score_queue_.push_back({shard});
    }
  }
  return absl::OkStatus();
}

void Collector::UpdateNodes(SteadyTime now) {
  ready_policies_.clear();
  for (NodeHandle& node : parts_.registry->Ready(NodeRole::kPolicy, now)) {
    scheduler_.SetNode(node.node_id, node.tokens_per_second, CapacityOf(node));
    known_policies_.insert(node.node_id);
    ready_policies_.emplace(node.node_id, std::move(node));
  }
  // Lost or restarted: what it was doing is lost. Its calls end by the same signal.
  for (auto& [id, call] : leases_) {
    if (call.lost || !call.node.life.stop_requested()) continue;
    call.lost = true;
    scheduler_.Fail(id);
    parts_.metrics->CountLease("lost");
    parts_.registry->ReportFailure(call.node, now, /*lease=*/true);
  }
  for (const std::string& known : known_policies_) {
    if (!ready_policies_.contains(known)) scheduler_.PauseNode(known);
  }
}

void Collector::StartLeases(SteadyTime now) {
  for (const ShardScheduler::Lease& late : scheduler_.Expire(now)) {
    parts_.metrics->CountLease("late");
    obs::Log(obs::Severity::kWarning, "lease is late, the shard goes to another node",
             {{"node", late.node}, {"step", task_.step}, {"shard", late.shard}});
  }
  for (const int64_t id : scheduler_.Obsolete()) {
    if (const auto it = leases_.find(id); it != leases_.end()) it->second.give_up.request_stop();
  }
  if (stopping()) return;
  while (std::optional<ShardScheduler::Lease> lease = scheduler_.Next(now)) StartGenerate(*lease);
}

void Collector::StartGenerate(const ShardScheduler::Lease& lease) {
  const auto [first, last] = Range(lease.shard);
  auto request = std::make_shared<GenerateCall>();
  request->prompts.assign(task_.prompts.begin() + first, task_.prompts.begin() + last);
  request->sampling = config_.sampling;
  request->seed = config_.seed;
  request->adapter_version = task_.served.version;
  Call& call = leases_[lease.id];
  call.node = ready_policies_.at(lease.node);
  std::shared_ptr<PolicyClient> client =
      parts_.clients->Policy(call.node.node_id, call.node.address);
  call.thread = std::jthread([this, lease, request, client = std::move(client),
                              life = call.node.life, give_up = call.give_up.get_token()] {
    const LinkedStop ended(life, parts_.signals.shutdown);
    const LinkedStop stop(ended.token(), give_up);
    const SteadyTime begin = SteadyTime::Now();
    auto answer = std::make_shared<absl::StatusOr<GenerateAnswer>>(
        client->Generate(*request, config_.lease * kCallLeases, stop.token()));
    const absl::Duration took = SteadyTime::Now() - begin;
    mailbox_.Post([this, lease, took, answer] { OnGenerated(lease, took, std::move(*answer)); });
  });
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
    for (const float logprob : generation.logprobs) {
      if (!std::isfinite(logprob)) {
        return absl::InternalError(
            absl::StrCat("prompt ", prompt.prompt_index, ": a log-prob is not finite"));
      }
    }
    rollouts.push_back({.prompt_index = prompt.prompt_index,
                        .query_ids = prompt.ids,
                        .response_ids = std::move(generation.ids),
                        .logprobs = std::move(generation.logprobs),
                        .finished = generation.finished,
                        .adapter = answer.adapter});
  }
  return rollouts;
}

void Collector::OnGenerated(const ShardScheduler::Lease& lease, absl::Duration took,
                            absl::StatusOr<GenerateAnswer> answer) {
  const auto call = leases_.find(lease.id);
  const NodeHandle node = call->second.node;
  const bool lost = call->second.lost;
  leases_.erase(call);
  absl::StatusOr<std::vector<Rollout>> rollouts = absl::UnknownError("");
  if (!answer.ok()) {
    rollouts = answer.status();
  } else if (!SameWeights(answer->adapter, task_.weights)) {
    rollouts =
        absl::UnavailableError(absl::StrCat("sampled with adapter ", ToString(answer->adapter),
                                            " instead of ", ToString(task_.weights)));
    parts_.metrics->CountCanaryFailure(node.node_id);
    parts_.registry->Quarantine(node, std::string(rollouts.status().message()), /*mismatch=*/true,
                                SteadyTime::Now() + absl::Seconds(1));
  } else {
    rollouts = CheckAnswer(lease.shard, *std::move(answer));
  }
  if (!rollouts.ok()) {
    scheduler_.Fail(lease.id);
    // Given up because another node was faster: nobody failed.
    if (lost || scheduler_.shard_done(lease.shard)) return;
    if (parts_.signals.shutdown.stop_requested()) return;
    // A call of a node that went away may end before UpdateNodes sees that it did.
    parts_.metrics->CountLease(node.life.stop_requested() ? "lost" : "failed");
    parts_.registry->ReportFailure(node, SteadyTime::Now(), /*lease=*/true);
    obs::Log(obs::Severity::kWarning, "lease failed, the shard goes to another node",
             {{"node", node.node_id},
              {"step", task_.step},
              {"shard", lease.shard},
              {"error", rollouts.status().ToString()}});
    if (rollouts.status().code() == absl::StatusCode::kInvalidArgument) {
      return Fail(Annotate(rollouts.status(), "generate"));
    }
    if (rollouts.status().code() == absl::StatusCode::kNotFound) {
      // It dropped the version: publish it again.
      parts_.registry->Quarantine(node, std::string(rollouts.status().message()),
                                  /*mismatch=*/false, SteadyTime::Now());
      return;
    }
    if (!MayRetry(rollouts.status()) && ++shard_failures_[lease.shard] >= kMaxShardFailures) {
      Fail(Annotate(rollouts.status(),
                    absl::StrCat("shard ", lease.shard, " failed ", kMaxShardFailures, " times")));
    }
    return;
  }
  int64_t tokens = 0;
  for (const Rollout& rollout : *rollouts) {
    tokens += static_cast<int64_t>(rollout.response_ids.size());
  }
  parts_.registry->ReportLease(node.node_id, static_cast<double>(tokens), took);
  if (scheduler_.Complete(lease) == ShardScheduler::Completion::kDuplicate) {
    parts_.metrics->CountLease("duplicate");
    return;
  }
  absl::StatusOr<int> added = parts_.ledger->AddRollouts(task_.run_id, task_.step, *rollouts);
  if (!added.ok()) return Fail(added.status());
  parts_.metrics->CountLease("done");
  parts_.metrics->CountRollouts(*added);
  result_.tokens_sampled += tokens;
  last_sampled_ = SteadyTime::Now();
  const size_t first = Range(lease.shard).first;
  for (size_t i = 0; i < rollouts->size(); ++i) {
    // Of a shard that was half there, the first delivery of each rollout stays.
    Rollout& place = rollouts_[first + i];
    if (place.response_ids.empty()) place = std::move((*rollouts)[i]);
  }
  score_queue_.push_back({lease.shard});
}

void Collector::StartScores(SteadyTime now) {
  if (stopping()) return;
  while (!score_queue_.empty()) {
    const std::vector<NodeHandle> nodes = parts_.registry->Ready(NodeRole::kReward, now);
    const NodeHandle* best = nullptr;
    for (const NodeHandle& node : nodes) {
      // Two at a time keep a node busy while the next texts are on their way.
      if (scores_in_flight_[node.node_id] >= 2) continue;
      if (best == nullptr || scores_in_flight_[node.node_id] < scores_in_flight_[best->node_id]) {
        best = &node;
      }
    }
    if (best == nullptr) return;
    const ScoreTask score = score_queue_.front();
    score_queue_.pop_front();
    StartScore(*best, score);
  }
}

void Collector::StartScore(const NodeHandle& node, ScoreTask score) {
  const auto [first, last] = Range(score.shard);
  auto texts = std::make_shared<std::vector<std::string>>();
  for (size_t i = first; i < last; ++i) {
    absl::StatusOr<std::string> text = RewardText(config_.reward, *parts_.tokenizer, rollouts_[i]);
    if (!text.ok()) {
      return Fail(
          Annotate(text.status(), absl::StrCat("decoding rollout ", rollouts_[i].prompt_index)));
    }
    texts->push_back(*std::move(text));
  }
  const int64_t id = next_score_++;
  ++scores_in_flight_[node.node_id];
  Call& call = scores_[id];
  call.node = node;
  std::shared_ptr<RewardClient> client = parts_.clients->Reward(node.node_id, node.address);
  call.thread = std::jthread([this, id, node, score, texts, client = std::move(client),
                              give_up = call.give_up.get_token()] {
    const LinkedStop ended(node.life, parts_.signals.shutdown);
    const LinkedStop stop(ended.token(), give_up);
    auto answer = std::make_shared<absl::StatusOr<ScoreAnswer>>(
        client->Score(*texts, kScoreTimeout, stop.token()));
    mailbox_.Post([this, id, node, score, answer] {
      scores_.erase(id);
      OnScored(node, score, std::move(*answer));
    });
  });
}

void Collector::OnScored(const NodeHandle& node, ScoreTask score,
                         absl::StatusOr<ScoreAnswer> answer) {
  --scores_in_flight_[node.node_id];
  const auto [first, last] = Range(score.shard);
  absl::StatusOr<std::vector<Score>> picked = absl::UnknownError("");
  if (!answer.ok()) {
    picked = answer.status();
  } else {
    picked = PickScores(config_.reward, *answer, last - first);
    if (!picked.ok()) picked = Annotate(picked.status(), node.node_id);
  }
  if (!picked.ok()) {
    if (parts_.signals.shutdown.stop_requested()) return;
    parts_.registry->ReportFailure(node, SteadyTime::Now(), /*lease=*/true);
    obs::Log(obs::Severity::kWarning, "scoring failed, another node gets the texts",
             {{"node", node.node_id},
              {"step", task_.step},
              {"shard", score.shard},
              {"error", picked.status().ToString()}});
    const bool retry = MayRetry(picked.status());
    if (picked.status().code() == absl::StatusCode::kInvalidArgument ||
        (!retry && ++score.failures >= kMaxShardFailures)) {
      return Fail(picked.status());
    }
    score_queue_.push_front(score);
    return;
  }
  std::vector<PromptScore> scores;
  for (size_t i = first; i < last; ++i) {
    rollouts_[i].score = (*picked)[i - first];
    scores.push_back({rollouts_[i].prompt_index, (*picked)[i - first]});
  }
  const absl::Status recorded = parts_.ledger->SetScores(task_.run_id, task_.step, scores);
  if (!recorded.ok()) return Fail(recorded);
  parts_.registry->ReportSuccess(node.node_id);
  parts_.metrics->CountScores(static_cast<int>(scores.size()));
  --unscored_;
}

void Collector::ReportActivity(SteadyTime now) {
  std::string text =
      absl::StrCat("step ", task_.step, ": generate ", ShardCount() - scheduler_.remaining(), "/",
                   ShardCount(), ", scored ", ShardCount() - unscored_, "/", ShardCount());
  if (!scheduler_.done() && ready_policies_.empty() && leases_.empty()) {
    absl::StrAppend(
        &text, "; waiting for a policy node: ", parts_.registry->WhyNoneReady(NodeRole::kPolicy));
  }
  if (!score_queue_.empty() && scores_.empty() &&
      parts_.registry->Ready(NodeRole::kReward, now).empty()) {
    absl::StrAppend(
        &text, "; waiting for a reward node: ", parts_.registry->WhyNoneReady(NodeRole::kReward));
  }
  parts_.observer->OnActivity(text);
}

absl::StatusOr<Collected> Collector::Run() {
  const SteadyTime begin = SteadyTime::Now();
  last_sampled_ = begin;
  MELLOW_RETURN_IF_ERROR(LoadFromLedger());
  {
    const NodeRegistry::Subscription subscription(parts_.registry, [this] { mailbox_.Wake(); });
    const std::stop_callback on_stop(parts_.signals.stop, [this] { mailbox_.Wake(); });
    const std::stop_callback on_shutdown(parts_.signals.shutdown, [this] { mailbox_.Wake(); });
    while (failure_.ok() && unscored_ > 0) {
      const SteadyTime now = SteadyTime::Now();
      UpdateNodes(now);
      StartLeases(now);
      StartScores(now);
      if (!failure_.ok()) break;
      ReportActivity(now);
      // What was begun is finished and recorded; a shutdown has cancelled it.
      if (stopping() && leases_.empty() && scores_.empty()) break;
      mailbox_.RunUntil(
          std::min({scheduler_.NextEvent(now), parts_.registry->NextRetry(NodeRole::kPolicy, now),
                    parts_.registry->NextRetry(NodeRole::kReward, now)}));
    }
    for (auto& [id, call] : leases_) call.give_up.request_stop();
    for (auto& [id, call] : scores_) call.give_up.request_stop();
    leases_.clear();
    scores_.clear();
  }
  MELLOW_RETURN_IF_ERROR(failure_);
  if (unscored_ > 0) return absl::CancelledError("the run was asked to stop");
  result_.rollouts = std::move(rollouts_);
  result_.generate_seconds = absl::ToDoubleSeconds(last_sampled_ - begin);
  result_.reward_seconds = absl::ToDoubleSeconds(SteadyTime::Now() - last_sampled_);
  return std::move(result_);
}

}  // namespace

absl::StatusOr<Collected> CollectStep(const CollectorParts& parts, const RunConfig& config,
                                      const CollectTask& task) {
  return Collector(parts, config, task).Run();
}

}  // namespace mellow::orchestrator
