#ifndef MELLOW_COMMON_RPC_REFUSAL_H_
#define MELLOW_COMMON_RPC_REFUSAL_H_

#include <functional>
#include <string>

#include "common/obs/metrics.h"

namespace mellow::rpc {

// Called with a word for a metric's label, from gRPC's threads.
using CountRefusal = std::function<void(const std::string& reason)>;

// Counts mellow_rpc_server_refused_total{reason}. `metrics` must outlive it.
[[nodiscard]] CountRefusal RefusalCounter(obs::Metrics* metrics);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_REFUSAL_H_
