#ifndef MELLOW_COMMON_RPC_METRICS_INTERCEPTOR_H_
#define MELLOW_COMMON_RPC_METRICS_INTERCEPTOR_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/steady_time.h"
#include "common/obs/metrics.h"
#include "common/sync/mutex.h"

namespace mellow::rpc {

// How many calls a server is answering. Thread-safe.
class CallsInProgress {
 public:
  void Add(int calls);
  // False when `deadline` came first.
  bool WaitForNone(SteadyTime deadline);

 private:
  Mutex mutex_;
  CondVar none_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Counts and times every call of the server, also the failed ones:
// mellow_rpc_server_seconds{method} and mellow_rpc_server_handled_total{method,code}. `services`:
// full names; methods that none of them has, nor gRPC's health and reflection, share the label
// "unknown". `metrics` and `calls` must outlive the server.
[[nodiscard]] std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeMetricsInterceptorFactory(obs::Metrics* metrics, CallsInProgress* calls,
                              const std::vector<std::string>& services);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_METRICS_INTERCEPTOR_H_
