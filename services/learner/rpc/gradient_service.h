#ifndef MELLOW_SERVICES_LEARNER_RPC_GRADIENT_SERVICE_H_
#define MELLOW_SERVICES_LEARNER_RPC_GRADIENT_SERVICE_H_

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "common/obs/metrics.h"
#include "common/rl/group_worker.h"
#include "common/rpc/call_limiter.h"
#include "mellow/learner/v1/gradients.grpc.pb.h"
#include "services/learner/base/compute_progress.h"
#include "services/learner/base/compute_turns.h"

namespace mellow::learner {

// The rpcs of GradientService. Calls that compute take turns, and end with Cancelled when their
// callers go while they wait. Thread-safe.
class GradientServiceImpl final : public v1::GradientService::Service {
 public:
  // `metrics` and `limiter` must outlive the service.
  GradientServiceImpl(std::unique_ptr<rl::GroupWorker> worker, obs::Metrics* metrics,
                      rpc::CallLimiter* limiter = rpc::CallLimiter::None());

  grpc::Status PutWeights(grpc::ServerContext* context,
                          grpc::ServerReader<v1::PutWeightsRequest>* reader,
                          v1::PutWeightsResponse* response) override;
  grpc::Status ComputeGradient(grpc::ServerContext* context,
                               const v1::ComputeGradientRequest* request,
                               grpc::ServerWriter<v1::ComputeGradientResponse>* writer) override;
  grpc::Status Evaluate(grpc::ServerContext* context, const v1::EvaluateRequest* request,
                        v1::EvaluateResponse* response) override;

  // Tokens of the last group by its seconds.
  [[nodiscard]] double tokens_per_second() const { return tokens_per_second_.load(); }
  // How long a group makes no progress; 0: it does, or there is none.
  [[nodiscard]] absl::Duration Stalled(SteadyTime now = SteadyTime::Now()) const {
    return progress_.Stalled(now);
  }
  // Takes no more work.
  void Drain() { draining_.store(true); }

 private:
  // Computes while nobody else does; not at all when the caller has gone.
  template <typename Body>
  auto Compute(const grpc::ServerContext* context, const rl::Sequences* sequences, const Body& body)
      -> decltype(body(std::declval<rl::GroupWorker*>()));

  std::atomic<bool> draining_{false};
  std::atomic<double> tokens_per_second_{0};
  rpc::CallLimiter* const limiter_;
  obs::Counter groups_;
  obs::Counter tokens_;
  obs::Histogram seconds_;
  ComputeTurns turns_;
  ComputeProgress progress_;                       // of whose turn it is
  const std::unique_ptr<rl::GroupWorker> worker_;  // of whose turn it is
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_GRADIENT_SERVICE_H_
