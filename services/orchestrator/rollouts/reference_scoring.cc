#include "services/orchestrator/rollouts/reference_scoring.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"

namespace mellow::orchestrator {
namespace {

// Of one request: what a node computes in one pass, and far below what it takes at once.
constexpr size_t kPieceTokens = 2048;

size_t Tokens(const TokenPair& pair) { return pair.source_ids.size() + pair.target_ids.size(); }

absl::Status Check(absl::Span<const TokenPair> pairs, const PairScores& scores,
                   const AdapterRef& reference) {
  if (!SameWeights(scores.adapter, reference)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "scored with adapter ", ToString(scores.adapter), " instead of ", ToString(reference)));
  }
  if (scores.logprobs.size() != pairs.size()) {
    return absl::InternalError(absl::StrCat("reference log-probs of ", scores.logprobs.size(),
                                            " pairs, asked were ", pairs.size()));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const std::vector<float>& row = scores.logprobs[i];
    if (row.size() != pairs[i].target_ids.size()) {
      return absl::InternalError(absl::StrCat(row.size(), " reference log-probs for ",
                                              pairs[i].target_ids.size(), " ids"));
    }
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }))
      return absl::InternalError("a reference log-prob is not finite");
  }
  return absl::OkStatus();
}

absl::StatusOr<PairScores> ScorePiece(PolicyClient* client, absl::Span<const TokenPair> pairs,
                                      const ReferenceWeights& reference, std::stop_token stop) {
  absl::StatusOr<PairScores> scores = client->ScoreTokens(pairs, reference.ref.version, stop);
  if (!absl::IsNotFound(scores.status()) || reference.files == nullptr) return scores;
  MELLOW_RETURN_IF_ERROR(Annotate(
      client->PublishAdapter(reference.ref, *reference.files, wire::Publication::kReference, stop),
      "publishing the reference"));
  return client->ScoreTokens(pairs, reference.ref.version, std::move(stop));
}

absl::StatusOr<std::vector<std::vector<float>>> ScoreAll(PolicyClient* client,
                                                         absl::Span<const TokenPair> pairs,
                                                         const ReferenceWeights& reference,
                                                         std::stop_token stop) {
  std::vector<std::vector<float>> logprobs;
  for (size_t first = 0; first < pairs.size();) {
    size_t count = 1;
    for (size_t tokens = Tokens(pairs[first]); first + count < pairs.size(); ++count) {
      tokens += Tokens(pairs[first + count]);
      if (tokens > kPieceTokens) break;
    }
    const absl::Span<const TokenPair> piece = pairs.subspan(first, count);
    MELLOW_ASSIGN_OR_RETURN(PairScores scores, ScorePiece(client, piece, reference, stop));
    MELLOW_RETURN_IF_ERROR(Check(piece, scores, reference.ref));
    std::move(scores.logprobs.begin(), scores.logprobs.end(), std::back_inserter(logprobs));
    first += count;
  }
  return logprobs;
}

}  // namespace

ReferenceScoring::ReferenceScoring(ReferenceWeights reference, std::string doing,
                                   std::vector<double> tokens, absl::Duration lease, Parts parts,
                                   PairsOf pairs_of, Keep keep)
    : reference_(std::move(reference)),
      doing_(std::move(doing)),
      parts_(parts),
      pairs_of_(std::move(pairs_of)),
      keep_(std::move(keep)),
      scheduler_(std::move(tokens), lease, /*offered=*/false) {}

ReferenceScoring::~ReferenceScoring() {
  for (auto& [id, flight] : flights_) flight.give_up.request_stop();
}

void ReferenceScoring::Advance(SteadyTime now,
                               const std::function<bool(const std::string& node_id)>& busy) {
  for (const auto& [id, flight] : flights_) {
    if (flight.node.life.stop_requested()) scheduler_.Fail(id);
  }
  (void)scheduler_.Expire(now);
  for (const int64_t id : scheduler_.Obsolete()) {
    if (const auto it = flights_.find(id); it != flights_.end()) it->second.give_up.request_stop();
  }
  if (scheduler_.pending() == 0) return;  // who is free does not matter, and costs a look at all
  std::map<std::string, NodeHandle> free;
  for (NodeHandle& node : parts_.registry->Ready(NodeRole::kPolicy, now)) {
    if (failed_.contains({node.node_id, node.incarnation}) || busy(node.node_id)) continue;
    // Scoring a text takes a node no longer than sampling it did.
    scheduler_.SetNode(node.node_id, node.speed, node.measured, /*capacity=*/1);
    known_.insert(node.node_id);
    free.emplace(node.node_id, std::move(node));
  }
  for (const std::string& known : known_) {
    if (!free.contains(known)) scheduler_.PauseNode(known);
  }
  while (const std::optional<ShardScheduler::Lease> lease = scheduler_.Next(now))
    Start(*lease, free.at(lease->node));
}

void ReferenceScoring::Start(const ShardScheduler::Lease& lease, const NodeHandle& node) {
  Flight& flight = flights_[lease.id];
  flight.node = node;
  flight.thread = std::jthread([this, lease, pairs = pairs_of_(lease.shard), life = node.life,
                                client = parts_.clients->Policy(node.node_id, node.address),
                                give_up = flight.give_up.get_token()] {
    const LinkedStop stop(life, give_up);
    auto logprobs =
        std::make_shared<LogProbs>(ScoreAll(client.get(), pairs, reference_, stop.token()));
    parts_.mailbox->Post([this, lease, logprobs] { OnDone(lease, std::move(*logprobs)); });
  });
}

void ReferenceScoring::OnDone(const ShardScheduler::Lease& lease, LogProbs logprobs) {
  const auto flight = flights_.find(lease.id);
  const NodeHandle node = flight->second.node;
  flights_.erase(flight);
  if (!logprobs.ok()) {
    scheduler_.Fail(lease.id);
    if (scheduler_.shard_done(lease.shard) || node.life.stop_requested()) return;
    failed_.insert({node.node_id, node.incarnation});
    obs::Log(obs::Severity::kWarning,
             "a policy node did not score under the reference; the learner can",
             {{"node", node.node_id},
              {"doing", doing_},
              {"shard", lease.shard},
              {"error", logprobs.status().ToString()}});
    return;
  }
  if (scheduler_.Complete(lease) == ShardScheduler::Completion::kDuplicate) return;
  if (const absl::Status kept = keep_(lease.shard, *std::move(logprobs)); !kept.ok())
    failure_ = kept;
}

}  // namespace mellow::orchestrator
