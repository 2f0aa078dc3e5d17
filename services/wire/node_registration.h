#ifndef MELLOW_SERVICES_WIRE_NODE_REGISTRATION_H_
#define MELLOW_SERVICES_WIRE_NODE_REGISTRATION_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/sync/stop_event.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::wire {

// Keeps a node known to the orchestrator: registers, then repeats as a heartbeat; retries forever,
// with one log line when the orchestrator goes and one when it comes back. Own thread.
class NodeRegistration {
 public:
  // `describe` is called before every heartbeat, from the thread of this object: role, address,
  // capacity and adapters of now. node_id and incarnation are filled in here.
  static std::unique_ptr<NodeRegistration> Start(
      const std::string& orchestrator_address, const std::string& node_id,
      std::function<orchestrator::v1::RegisterNodeRequest()> describe);
  // Stops, says goodbye when the orchestrator knows the node (a second at most), and joins.
  ~NodeRegistration();

 private:
  NodeRegistration() = default;
  void Loop(const std::string& orchestrator_address, orchestrator::v1::RegisterNodeRequest base);

  std::function<orchestrator::v1::RegisterNodeRequest()> describe_;
  StopEvent stop_;
  std::jthread thread_;
};

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_NODE_REGISTRATION_H_
