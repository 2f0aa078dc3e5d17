#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_WAIT_ON_REGISTRY_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_WAIT_ON_REGISTRY_H_

#include <stop_token>
#include <utility>

#include "common/base/steady_time.h"
#include "common/sync/mailbox.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// Returns as soon as `done()` is true, the deadline has passed, or a stop was requested. It is
// asked at once and again whenever the registry changes, in this thread; not when a stop was
// requested before.
template <typename Done>
void WaitOnRegistry(NodeRegistry* registry, std::stop_token stop, SteadyTime deadline,
                    const Done& done) {
  Mailbox mailbox;
  const NodeRegistry::Subscription subscription(registry, [&] { mailbox.Wake(); });
  const std::stop_callback on_stop(stop, [&] { mailbox.Wake(); });
  while (!stop.stop_requested() && !done() && SteadyTime::Now() < deadline)
    mailbox.RunUntil(deadline);
}

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_WAIT_ON_REGISTRY_H_
