#include "services/orchestrator/rollouts/leased_work.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/retry.h"

namespace mellow::orchestrator {

LeasedWork::LeasedWork(NodeRole role, std::string doing, Parts parts, ShardScheduler scheduler,
                       std::function<int(const NodeHandle&)> capacity, MakeCall make_call,
                       Need need)
    : role_(role),
      doing_(std::move(doing)),
      parts_(std::move(parts)),
      scheduler_(std::move(scheduler)),
      capacity_(std::move(capacity)),
      make_call_(std::move(make_call)),
      need_(need) {}

LeasedWork::~LeasedWork() {
  for (auto& [id, flight] : flights_) flight.give_up.request_stop();
}

// The metric is of rollouts: of the rest, the log and the nodes' own counts tell.
void LeasedWork::Count(const char* result) const {
  if (role_ == NodeRole::kPolicy && !spare()) parts_.metrics->CountLease(result);
}

bool LeasedWork::Refused(const std::string& node_id, const std::string& incarnation) const {
  const auto it = refusals_.find(node_id);
  return it != refusals_.end() && it->second.incarnation == incarnation;
}

void LeasedWork::UpdateNodes(SteadyTime now) {
  const int64_t changes = parts_.registry->Changes(role_);
  const bool anything_new = changes != seen_changes_ || retry_at_ <= now;
  if (!spare() && !failed_since_ && (!anything_new || now < update_at_)) return;
  failed_since_ = false;
  seen_changes_ = changes;
  const SteadyTime began = SteadyTime::Now();
  ready_.clear();
  for (NodeHandle& node : parts_.registry->Ready(role_, now)) {
    if (Refused(node.node_id, node.incarnation)) continue;
    const int capacity = capacity_(node);
    if (capacity == 0) continue;
    scheduler_.SetNode(node.node_id, node.speed, node.measured, capacity);
    known_.insert(node.node_id);
    ready_.emplace(node.node_id, std::move(node));
  }
  // Lost or restarted: what it was doing is lost. Its calls end by the same signal.
  for (auto& [id, flight] : flights_) {
    if (flight.lost || !flight.node.life.stop_requested()) continue;
    flight.lost = true;
    scheduler_.Fail(id);
    Count("lost");
    if (!spare()) parts_.registry->ReportFailure(flight.node, now, /*lease=*/true);
  }
  for (const std::string& known : known_) {
    if (!ready_.contains(known)) scheduler_.PauseNode(known);
  }
  retry_at_ = parts_.registry->NextRetry(role_, now);
  update_at_ = now + 20 * (SteadyTime::Now() - began);
}

void LeasedWork::Advance(SteadyTime now, bool start_none) {
  if (!spare()) UpdateNodes(now);
  for (const ShardScheduler::Lease& late : scheduler_.Expire(now)) {
    if (const auto it = flights_.find(late.id); it != flights_.end()) it->second.late = true;
    if (spare()) continue;
    Count("late");
    obs::Log(obs::Severity::kWarning, "lease is late, the shard goes to another node",
             {{"node", late.node}, {"doing", doing_}, {"shard", late.shard}});
  }
  for (const int64_t id : scheduler_.Obsolete()) {
    if (const auto it = flights_.find(id); it != flights_.end()) it->second.give_up.request_stop();
  }
  // Who is free for spare work matters only while a shard waits, as a late one does again.
  if (spare() && scheduler_.pending() > 0) UpdateNodes(now);
  if (start_none) return;
  if (ready_.empty() && flights_.empty()) CheckAnybodyLeft();
  while (failure_.ok()) {
    const std::optional<ShardScheduler::Lease> lease = scheduler_.Next(now);
    if (!lease) return;
    Start(*lease);
  }
}

SteadyTime LeasedWork::NextEvent(SteadyTime now) const {
  if (spare()) return scheduler_.NextEvent(now);
  const bool changed = parts_.registry->Changes(role_) != seen_changes_;
  return std::min(scheduler_.NextEvent(now),
                  changed ? update_at_ : std::max(update_at_, retry_at_));
}

bool LeasedWork::Occupies(const std::string& node_id) const {
  return std::any_of(flights_.begin(), flights_.end(),
                     [&](const auto& flight) { return flight.second.node.node_id == node_id; });
}

void LeasedWork::Start(const ShardScheduler::Lease& lease) {
  const NodeHandle& node = ready_.at(lease.node);
  absl::StatusOr<Call> call = make_call_(lease.shard, node);
  if (!call.ok()) return Fail(call.status());
  Flight& flight = flights_[lease.id];
  flight.node = node;
  flight.shard = lease.shard;
  flight.thread = std::jthread([this, lease, call = *std::move(call), life = node.life,
                                give_up = flight.give_up.get_token()] {
    const LinkedStop stop(life, parts_.shutdown, give_up);
    const SteadyTime begin = SteadyTime::Now();
    auto outcome = std::make_shared<Outcome>(call(stop.token()));
    const absl::Duration took = SteadyTime::Now() - begin;
    parts_.mailbox->Post(
        [this, lease, took, outcome] { OnDone(lease, took, std::move(*outcome)); });
  });
}

void LeasedWork::OnDone(const ShardScheduler::Lease& lease, absl::Duration took, Outcome outcome) {
  const auto flight = flights_.find(lease.id);
  const NodeHandle node = flight->second.node;
  const bool lost = flight->second.lost;
  flights_.erase(flight);
  if (!outcome.status.ok()) {
    scheduler_.Fail(lease.id);
    // Given up because another node was faster, or because we end: nobody failed.
    if (lost || scheduler_.shard_done(lease.shard) || parts_.shutdown.stop_requested()) return;
    return OnFailure(node, lease.shard, outcome);
  }
  defects_.erase({node.node_id, node.incarnation});
  if (!spare()) parts_.registry->ReportLease(node.node_id, outcome.work, took);
  if (scheduler_.Complete(lease) == ShardScheduler::Completion::kDuplicate) {
    return Count("duplicate");
  }
  if (const absl::Status recorded = outcome.record(); !recorded.ok()) return Fail(recorded);
  Count("done");
  if (!node.device.empty()) devices_.insert(node.device.substr(0, node.device.find(':')));
  last_done_ = SteadyTime::Now();
  if (spare()) return;
  for (const auto& [id, other] : flights_) {
    if (other.shard != lease.shard || !other.late || other.lost) continue;
    failed_since_ = true;
    parts_.registry->ReportFailure(other.node, last_done_, /*lease=*/true);
    parts_.registry->Quarantine(
        other.node,
        absl::StrCat("left behind: ", doing_, ", shard ", lease.shard, " was late here, and ",
                     node.node_id, " did it meanwhile"),
        /*mismatch=*/false, last_done_);
  }
}

void LeasedWork::OnFailure(const NodeHandle& node, int shard, const Outcome& outcome) {
  if (spare() && node.life.stop_requested()) return;
  obs::Log(obs::Severity::kWarning,
           spare() ? "a node failed at what nobody depends on, and is not asked again"
                   : "lease failed, the shard goes to another node",
           {{"node", node.node_id},
            {"doing", doing_},
            {"shard", shard},
            {"error", outcome.status.ToString()}});
  if (spare()) return Refuse(node, outcome.status);
  const SteadyTime now = SteadyTime::Now();
  // A call of a node that went away may end before UpdateNodes sees that it did.
  Count(node.life.stop_requested() ? "lost" : "failed");
  parts_.registry->ReportFailure(node, now, /*lease=*/true);
  failed_since_ = true;
  const std::string reason(outcome.status.message());
  if (outcome.wrong_weights) {
    parts_.metrics->CountCanaryFailure(node.node_id);
    return parts_.registry->Quarantine(node, reason, /*mismatch=*/true, now + absl::Seconds(1));
  }
  switch (RemedyFor(role_, outcome.status.code())) {
    case Remedy::kAgain:
      return;
    case Remedy::kPublish:
      return parts_.registry->Quarantine(node, reason, /*mismatch=*/false, now);
    case Remedy::kFewTimes:
      if (++defects_[{node.node_id, node.incarnation}] >= kMaxDefects) Refuse(node, outcome.status);
      return;
    case Remedy::kElsewhere:
    case Remedy::kReopen:
      return Refuse(node, outcome.status);
  }
}

void LeasedWork::Refuse(const NodeHandle& node, const absl::Status& status) {
  refusals_[node.node_id] = {node.incarnation, status};
  CheckAnybodyLeft();
}

void LeasedWork::CheckAnybodyLeft() {
  if (refusals_.empty() || spare()) return;
  // A node that is lost or quarantined now may come back and do it.
  for (const NodeStatus& other : parts_.registry->List()) {
    if (other.report.role == role_ && !other.other_model &&
        !Refused(other.report.node_id, other.report.incarnation)) {
      return;
    }
  }
  Fail(Annotate(refusals_.begin()->second.status, doing_));
}

std::string LeasedWork::WaitsFor() const {
  if (scheduler_.pending() == 0 || !ready_.empty() || !flights_.empty()) return "";
  std::string text = absl::StrCat("waiting for a ", ToString(role_),
                                  " node: ", parts_.registry->WhyNoneReady(role_));
  for (const auto& [node_id, refusal] : refusals_) {
    absl::StrAppend(&text, "; ", node_id, " cannot do it: ", refusal.status.message());
  }
  return text;
}

}  // namespace mellow::orchestrator
