#ifndef MELLOW_SERVICES_CLI_CLUSTER_SUPERVISOR_H_
#define MELLOW_SERVICES_CLI_CLUSTER_SUPERVISOR_H_

// Keeps the services of one machine's cluster alive: starts them, restarts what dies (with growing
// pauses when it dies again and again), writes cluster.json, and stops everything on SIGTERM. It
// forwards no call: a cluster without its supervisor still works.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/steady_time.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace mellow::cli {

// Single-threaded. Run() wants SIGTERM, SIGINT and SIGCHLD blocked.
class Supervisor {
 public:
  // `report` is a descriptor (a pipe to `up`) that gets one line per event while the cluster
  // starts, then is closed:
  //   serving NAME ADDRESS / ready / failed NAME REASON
  Supervisor(const ClusterOptions& options, std::vector<ServicePlan> plans, int report);

  // Starts everything and returns when a signal (or a failed start) has stopped it all. Returns the
  // exit code.
  int Run();

 private:
  struct Service {
    ServicePlan plan;
    ServiceEntry entry;
    bool serving = false;  // has served in its current life
    int quick_deaths = 0;  // in a row
    SteadyTime started;
    SteadyTime restart_at = SteadyTime::InfiniteFuture();  // while dead
    std::shared_ptr<grpc::Channel> channel;
  };

  absl::Status StartAll();
  absl::Status WaitUntilServing();
  // Until the orchestrator knows every node; a node that stays unknown is only a line in the log.
  void WaitUntilRegistered();
  void WatchForever();
  void StopAll();

  absl::Status StartService(Service* service);
  // Free ports; the old ones are forgotten.
  absl::Status AssignAddresses(Service* service);
  // The service whose process just ended, or null. Its entry has no pid anymore.
  Service* ReapOne(std::string* how);
  void ScheduleRestart(Service* service, const std::string& how);
  void RestartDue();
  SteadyTime NextRestart() const;
  // Sleeps until `deadline` or a signal; sets stop_requested_ on SIGTERM and SIGINT. A child that
  // died ends it too.
  void WaitForSignal(SteadyTime deadline);
  void WriteFile();
  void Report(const std::string& line);

  const ClusterOptions options_;
  std::vector<Service> services_;
  std::set<int> ports_;
  int report_;
  bool stop_requested_ = false;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_SUPERVISOR_H_
