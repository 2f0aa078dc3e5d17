#ifndef MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_FILE_H_
#define MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_FILE_H_

// Where the services of a cluster are. For one that `mellow up` started: DIR/cluster.json, which
// the supervisor writes, whole or not at all. For any other (compose, Kubernetes): --connect.

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mellow::cli {

struct ServiceEntry {
  std::string name;     // "policy-0"
  std::string role;     // "policy", "reward", "learner", "orchestrator"
  pid_t pid = 0;        // 0: between two lives, or not ours
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

// Replaces every folder's cluster by the services in `text`, "ROLE=HOST:PORT,ROLE=HOST:PORT...",
// for the whole process; call it before threads start. A DNS name of several servers counts as one
// entry, and calls go to them in turn. InvalidArgument names what is wrong.
[[nodiscard]] absl::Status ConnectTo(const std::string& text);
// Whether ConnectTo was called.
[[nodiscard]] bool Connected();

// That of ConnectTo, or the one in `folder` as ReadClusterFile gives it.
[[nodiscard]] absl::StatusOr<ClusterFile> FindCluster(const std::string& folder);

// The entries of FindCluster with one role, in order. NotFound when there is none.
[[nodiscard]] absl::StatusOr<std::vector<ServiceEntry>> ServicesOfRole(const std::string& folder,
                                                                       const std::string& role);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_CLUSTER_FILE_H_
