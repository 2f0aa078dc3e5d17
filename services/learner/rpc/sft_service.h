#ifndef MELLOW_SERVICES_LEARNER_RPC_SFT_SERVICE_H_
#define MELLOW_SERVICES_LEARNER_RPC_SFT_SERVICE_H_

#include "common/rpc/call_limiter.h"
#include "common/rpc/stream_guard.h"
#include "mellow/learner/v1/sft.grpc.pb.h"
#include "services/learner/base/owner_epoch.h"
#include "services/learner/sft/sft_runner.h"

namespace mellow::learner {

// The rpcs of SftService: validate, call, translate. Thread-safe.
class SftServiceImpl final : public v1::SftService::Service {
 public:
  // What it is given must outlive it. `owner`: whose calls count, that of the other services too.
  SftServiceImpl(SftRunner* runner, OwnerEpoch* owner,
                 rpc::CallLimiter* limiter = rpc::CallLimiter::None())
      : runner_(runner), owner_(owner), limiter_(limiter) {}

  // Watchers return; there are no new ones.
  void Drain();

  grpc::Status CheckSft(grpc::ServerContext* context, const v1::CheckSftRequest* request,
                        v1::CheckSftResponse* response) override;
  grpc::Status StartSft(grpc::ServerContext* context, const v1::StartSftRequest* request,
                        v1::StartSftResponse* response) override;
  grpc::Status WatchSft(grpc::ServerContext* context, const v1::WatchSftRequest* request,
                        grpc::ServerWriter<v1::WatchSftResponse>* writer) override;
  grpc::Status StopSft(grpc::ServerContext* context, const v1::StopSftRequest* request,
                       v1::StopSftResponse* response) override;

 private:
  absl::Status StartSftImpl(const v1::StartSftRequest& request, v1::StartSftResponse* response);

  // Each watcher holds a thread of the rpc server; one that reads nothing is cut off.
  static constexpr absl::Duration kWatchPatience = absl::Seconds(30);
  static constexpr int kMaxWatchers = 16;

  SftRunner* const runner_;
  OwnerEpoch* const owner_;
  rpc::CallLimiter* const limiter_;
  rpc::StreamGuard watches_{kWatchPatience, kMaxWatchers};
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_RPC_SFT_SERVICE_H_
