#ifndef MELLOW_SERVICES_ORCHESTRATOR_NODES_WHILE_WORKING_H_
#define MELLOW_SERVICES_ORCHESTRATOR_NODES_WHILE_WORKING_H_

#include <stop_token>
#include <utility>

#include "services/orchestrator/base/linked_stop.h"
#include "services/orchestrator/nodes/node_registry.h"

namespace mellow::orchestrator {

// For a call without a deadline. Its token stops when the node is lost or restarts, when it says
// that it is stuck (NodeReport::stalled_seconds), and when `also` does.
class WhileWorking {
 public:
  // The registry must outlive it.
  WhileWorking(NodeRegistry* registry, const NodeHandle& node, std::stop_token also)
      : linked_(node.life, std::move(also), stuck_.get_token()),
        subscription_(registry, [this, registry, node] { Look(*registry, node); }) {
    Look(*registry, node);  // it may have said so since it was ready
  }
  WhileWorking(const WhileWorking&) = delete;
  WhileWorking& operator=(const WhileWorking&) = delete;

  std::stop_token token() const { return linked_.token(); }

 private:
  void Look(const NodeRegistry& registry, const NodeHandle& node) {
    if (registry.IsStuck(node)) stuck_.request_stop();
  }

  std::stop_source stuck_;
  LinkedStop linked_;
  const NodeRegistry::Subscription subscription_;  // last: it calls Look
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_NODES_WHILE_WORKING_H_
