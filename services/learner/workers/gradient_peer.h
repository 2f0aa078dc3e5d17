#ifndef MELLOW_SERVICES_LEARNER_WORKERS_GRADIENT_PEER_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_GRADIENT_PEER_H_

#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rl/group_work.h"
#include "services/learner/workers/packed_weights.h"

namespace mellow::learner {

// A learner worker, as the orchestrator names it.
struct WorkerNode {
  std::string node_id;
  std::string address;
  std::string incarnation;  // changes when it restarts
  std::string device;
};

// A learner worker from the learner's side, without gRPC. Every call blocks, names the peer in its
// errors, and ends with Unavailable soon after `stop` stops. Errors as GradientService.
// Thread-safe.
class GradientPeer {
 public:
  virtual ~GradientPeer() = default;
  [[nodiscard]] virtual absl::Status PutWeights(const PackedWeights& weights,
                                                std::stop_token stop) = 0;
  // Weights by their hashes.
  [[nodiscard]] virtual absl::StatusOr<rl::Evaluation> Evaluate(const std::string& current,
                                                                const std::string& reference,
                                                                const rl::EvaluationTask& task,
                                                                std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<rl::GradientAnswer> Gradient(const std::string& current,
                                                                    const rl::GradientTask& task,
                                                                    std::stop_token stop) = 0;
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_GRADIENT_PEER_H_
