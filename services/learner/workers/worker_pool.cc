#include "services/learner/workers/worker_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "common/obs/log.h"

namespace mellow::learner {
namespace {

// Steps that a worker rests at most.
constexpr int kLongestRest = 64;

}  // namespace

WorkerPool::WorkerPool(Connect connect, bool on_cpu, obs::Metrics* metrics)
    : connect_(std::move(connect)), on_cpu_(on_cpu), metrics_(metrics) {
  workers_gauge_ =
      metrics->AddGauge("mellow_learner_workers", "Learner workers that helped with the last step");
  for (const char* result : {"done", "failed", "late", "wrong"})
    (void)metrics_->AddCounter("mellow_learner_groups_total",
                               "Groups that went to learner workers, by outcome",
                               {{"result", result}});
}

void WorkerPool::Count(const char* result) {
  metrics_
      ->AddCounter("mellow_learner_groups_total", "Groups that went to learner workers, by outcome",
                   {{"result", result}})
      .Increment();
}

bool WorkerPool::SameBits(const Worker& worker) const {
  return on_cpu_ && !absl::StartsWith(worker.node.device, "cuda");
}

bool WorkerPool::NeedsCheck(const Worker& worker, Kind kind) const {
  return SameBits(worker) && !worker.checked[kind];
}

bool WorkerPool::NeedsConfirmation(const Worker& worker, Kind kind) const {
  return SameBits(worker) && worker.helped[kind];
}

bool WorkerPool::NeedsConfirmation(Kind kind) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const auto& entry) { return NeedsConfirmation(entry.second, kind); });
}

void WorkerPool::Drop(Worker* worker, absl::string_view why) {
  worker->usable = false;
  worker->failed = true;
  obs::Log(obs::Severity::kWarning, "learner worker left out of the step",
           {{"node", worker->node.node_id},
            {"address", worker->node.address},
            {"reason", std::string(why)}});
}

void WorkerPool::Refuse(Worker* worker, absl::string_view why) {
  worker->usable = false;
  worker->refused = std::string(why);
  obs::Log(obs::Severity::kError, "learner worker refused until it restarts",
           {{"node", worker->node.node_id},
            {"address", worker->node.address},
            {"reason", worker->refused}});
}

bool WorkerPool::Begin(const std::string& run_id, absl::Span<const WorkerNode> nodes) {
  std::map<std::string, Worker> workers;
  int usable = 0;
  for (const WorkerNode& node : nodes) {
    Worker& worker = workers[node.node_id];
    const auto known = workers_.find(node.node_id);
    if (known != workers_.end() && known->second.node.incarnation == node.incarnation &&
        known->second.node.address == node.address) {
      worker = std::move(known->second);
    } else {
      worker.peer = connect_(node);
    }
    worker.node = node;
    if (run_id != run_id_) std::fill_n(worker.checked, int{kKinds}, false);
    std::fill_n(worker.helped, int{kKinds}, false);
    if (worker.failed) {
      // Once is nothing; who fails in every step rests for longer and longer.
      ++worker.failures;
      worker.rest = std::min(kLongestRest, (1 << std::min(worker.failures, 16)) - 2);
    } else if (worker.usable) {
      worker.failures = 0;
    }
    worker.failed = false;
    worker.usable = worker.refused.empty() && worker.rest == 0;
    if (worker.rest > 0) --worker.rest;
    usable += worker.usable ? 1 : 0;
  }
  workers_ = std::move(workers);
  run_id_ = run_id;
  workers_gauge_.Set(usable);
  return usable > 0;
}

}  // namespace mellow::learner
