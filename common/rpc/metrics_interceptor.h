#ifndef MELLOW_COMMON_RPC_METRICS_INTERCEPTOR_H_
#define MELLOW_COMMON_RPC_METRICS_INTERCEPTOR_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "common/obs/metrics.h"

namespace mellow::rpc {

// Counts and times every call of the server, also the failed ones:
// mellow_rpc_server_seconds{method} and mellow_rpc_server_handled_total{method,code}. `metrics`
// must outlive the server.
[[nodiscard]] std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
MakeMetricsInterceptorFactory(obs::Metrics* metrics);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_METRICS_INTERCEPTOR_H_
