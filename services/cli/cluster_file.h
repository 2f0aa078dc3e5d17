#ifndef MELLOW_SERVICES_CLI_CLUSTER_FILE_H_
#define MELLOW_SERVICES_CLI_CLUSTER_FILE_H_

// DIR/cluster.json: what runs in a cluster of one machine, for everybody who looks from outside.
// The supervisor writes it, whole or not at all.

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mellow::cli {

struct ServiceEntry {
  std::string name;     // "policy-0"
  std::string role;     // "policy", "reward", "learner", "orchestrator"
  pid_t pid = 0;        // 0: between two lives
  std::string address;  // host:port of its gRPC server
  std::string metrics;  // URL
  std::string log;      // file
  int restarts = 0;
};

struct ClusterFile {
  std::vector<ServiceEntry> services;
  pid_t supervisor_pid = 0;
};

// NotFound: no cluster runs in `folder`. DataLoss: the file is not what WriteClusterFile writes.
[[nodiscard]] absl::StatusOr<ClusterFile> ReadClusterFile(const std::string& folder);
[[nodiscard]] absl::Status WriteClusterFile(const std::string& folder, const ClusterFile& cluster);
void RemoveClusterFile(const std::string& folder);

// The entries of one role, in order. NotFound when there is none.
[[nodiscard]] absl::StatusOr<std::vector<ServiceEntry>> ServicesOfRole(const std::string& folder,
                                                                       const std::string& role);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_FILE_H_
