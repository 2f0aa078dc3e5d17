#include "common/rpc/refusal.h"

namespace mellow::rpc {

CountRefusal RefusalCounter(obs::Metrics* metrics) {
  return [metrics](const std::string& reason) {
    metrics
        ->AddCounter("mellow_rpc_server_refused_total",
                     "Connections and calls refused for who the client is or how much it asks for.",
                     {{"reason", reason}})
        .Increment();
  };
}

}  // namespace mellow::rpc
