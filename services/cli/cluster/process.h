#ifndef MELLOW_SERVICES_CLI_CLUSTER_PROCESS_H_
#define MELLOW_SERVICES_CLI_CLUSTER_PROCESS_H_

// Processes of a cluster. Each carries the cluster's folder in its environment
// (MELLOW_CLUSTER=...), which nobody else can set and which a recycled pid does not have: that is
// how `down` and the next `up` find what a crashed supervisor left behind, and only that.

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace mellow::cli {

struct SpawnOptions {
  std::vector<std::string> arguments;  // [0] is the program's path
  std::string cluster;                 // canonical folder: the mark
  std::string log;  // standard output and error are appended to it; standard input is empty
  bool own_session = false;
  std::vector<int> keep;  // descriptors that the program inherits under their numbers
};

// Not killed with its parent: services survive a supervisor that crashes, and runs go on. NotFound,
// PermissionDenied: the program, named.
[[nodiscard]] absl::StatusOr<pid_t> Spawn(const SpawnOptions& options);

// Live processes with that mark (this process excepted).
[[nodiscard]] std::vector<pid_t> FindMarked(const std::string& cluster);
[[nodiscard]] bool IsMarked(pid_t pid, const std::string& cluster);

// SIGTERM, then SIGKILL to those that still live after `grace`; returns when all are gone. A pid
// without the mark is left alone.
void StopMarked(const std::vector<pid_t>& pids, const std::string& cluster, absl::Duration grace);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_PROCESS_H_
