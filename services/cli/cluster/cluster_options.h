#ifndef MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_OPTIONS_H_
#define MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_OPTIONS_H_

// What `mellow up` is told, and the services that follow from it.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/cli/terminal/command.h"

namespace mellow::cli {

struct ClusterOptions {
  std::string folder = ".mellow";
  int policies = 1;
  int rewards = 1;
  int learners = 1;          // the learner and its workers
  std::string policy_model;  // empty: the one that ships
  std::string reward_model;
  std::string judge_model;  // empty: no judge
  int threads = 0;          // cores to share out; 0: all of the machine
  std::string device = "auto";
  std::string dtype = "float32";  // of the policies' frozen weights
  std::string toxic_label;        // empty: the reward server's default
  int keep_adapters = 0;          // newest ones of a run; 0: that of every step
  std::string log_level = "info";
  double drain_seconds = 10;     // calls in progress get that long when a service stops
  double timeout_seconds = 600;  // until all serve

  // Names the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
  // The flags that give the same options again, for starting the supervisor.
  [[nodiscard]] std::vector<std::string> ToFlags() const;
};

// Makes the folder and replaces relative paths and empty models by absolute paths. NotFound: a
// model folder or a server program is not there, named.
[[nodiscard]] absl::Status ResolveClusterOptions(const Environment& environment,
                                                 ClusterOptions* options);

// A service to be run, without its addresses.
struct ServicePlan {
  std::string name;
  std::string role;
  std::vector<std::string> arguments;  // [0] is the program
};

// The orchestrator comes first. `options` are resolved.
[[nodiscard]] std::vector<ServicePlan> PlanServices(const Environment& environment,
                                                    const ClusterOptions& options);

// DIR as an absolute path without symbolic links; it need not exist.
[[nodiscard]] std::string CanonicalFolder(const std::string& folder);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_OPTIONS_H_
