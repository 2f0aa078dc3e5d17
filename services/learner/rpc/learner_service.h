#ifndef MELLOW_SERVICES_LEARNER_RPC_LEARNER_SERVICE_H_
#define MELLOW_SERVICES_LEARNER_RPC_LEARNER_SERVICE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/nn/weights/model_hash.h"
#include "common/obs/metrics.h"
#include "common/rpc/call_limiter.h"
#include "common/sync/mutex.h"
#include "mellow/learner/v1/learner.grpc.pb.h"
#include "services/learner/base/compute_progress.h"
#include "services/learner/base/compute_turns.h"
#include "services/learner/base/owner_epoch.h"
#include "services/learner/ppo/ppo_session.h"
#include "services/learner/rpc/gradient_client.h"
#include "services/learner/workers/data_parallel.h"

namespace mellow::learner {

// The rpcs of LearnerService. Calls that need the run take turns, and end with Cancelled when their
// callers go while they wait; GetInfo and CheckRun never wait. Thread-safe.
class LearnerServiceImpl final : public v1::LearnerService::Service {
 public:
  // `session_options.trainer.device` is resolved. `model_hash`, `turns` (whoever computes in this
  // process takes one), `metrics` and `limiter` must outlive the service. `connect`: how it reaches
  // the learner workers that a request names.
  LearnerServiceImpl(PpoSession::Options session_options, const nn::ModelHash* model_hash,
                     ComputeTurns* turns, obs::Metrics* metrics,
                     rpc::CallLimiter* limiter = rpc::CallLimiter::None(),
                     DataParallel::Connect connect = ConnectToWorker);

  grpc::Status CheckRun(grpc::ServerContext* context, const v1::CheckRunRequest* request,
                        v1::CheckRunResponse* response) override;
  grpc::Status OpenRun(grpc::ServerContext* context, const v1::OpenRunRequest* request,
                       v1::OpenRunResponse* response) override;
  grpc::Status Train(grpc::ServerContext* context, const v1::TrainRequest* request,
                     v1::TrainResponse* response) override;
  grpc::Status GetAdapter(grpc::ServerContext* context, const v1::GetAdapterRequest* request,
                          grpc::ServerWriter<common::v1::AdapterChunk>* writer) override;
  grpc::Status ScoreTokens(grpc::ServerContext* context, const v1::ScoreTokensRequest* request,
                           v1::ScoreTokensResponse* response) override;
  grpc::Status GetInfo(grpc::ServerContext* context, const v1::GetInfoRequest* request,
                       v1::GetInfoResponse* response) override;

  // Its precision is that of no run: see NodeCapacity.precision.
  [[nodiscard]] common::v1::NodeCapacity Capacity() const;
  // How long a step or a scoring makes no progress; 0: it does, or there is none.
  [[nodiscard]] absl::Duration Stalled(SteadyTime now = SteadyTime::Now()) const {
    return progress_.Stalled(now);
  }
  // Whom this learner follows, with all its services.
  [[nodiscard]] OwnerEpoch* owner() { return &owner_; }
  // Takes no more work.
  void Drain() { draining_.store(true); }

 private:
  // Nobody waits for the answer anymore.
  using Gone = std::function<bool()>;
  absl::Status OpenRunImpl(const Gone& gone, const v1::OpenRunRequest& request,
                           v1::OpenRunResponse& response);
  absl::Status TrainImpl(const Gone& gone, const v1::TrainRequest& request,
                         v1::TrainResponse& response);
  absl::Status GetAdapterImpl(const Gone& gone, const v1::GetAdapterRequest& request,
                              grpc::ServerWriter<common::v1::AdapterChunk>& writer);
  absl::Status ScoreTokensImpl(const Gone& gone, const v1::ScoreTokensRequest& request,
                               v1::ScoreTokensResponse& response);
  // A session that a failed step left half-way is never used again: OpenRun reads its checkpoint.
  void DropSpoiledSession() ABSL_EXCLUSIVE_LOCKS_REQUIRED(compute_mutex_);
  // The open run, if it is that one and `epoch` (0: not compared) is not of an owner before the
  // present one. FailedPrecondition otherwise.
  absl::StatusOr<PpoSession*> OpenSession(const std::string& run_id, int64_t epoch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(compute_mutex_);

  const PpoSession::Options session_options_;
  const nn::ModelHash* const model_hash_;
  ComputeTurns* const turns_;
  rpc::CallLimiter* const limiter_;
  obs::Counter steps_total_;
  obs::Counter checkpoint_failures_;
  obs::Histogram train_seconds_;
  obs::Gauge last_step_gauge_;
  std::atomic<bool> draining_{false};
  std::atomic<double> tokens_per_second_{0};
  ComputeProgress progress_;  // of who has compute_mutex_

  ComputeTurns calls_;   // to have compute_mutex_
  Mutex compute_mutex_;  // of whose turn it is: nobody waits for it
  std::unique_ptr<PpoSession> session_ ABSL_GUARDED_BY(compute_mutex_);
  DataParallel data_parallel_ ABSL_GUARDED_BY(compute_mutex_);

  OwnerEpoch owner_;

  mutable Mutex info_mutex_;
  std::string run_id_ ABSL_GUARDED_BY(info_mutex_);
  int64_t last_step_ ABSL_GUARDED_BY(info_mutex_) = 0;
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_LEARNER_SERVICE_H_
