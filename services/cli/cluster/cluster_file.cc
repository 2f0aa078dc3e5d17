#include "services/cli/cluster/cluster_file.h"

#include <unistd.h>

#include <array>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"

namespace mellow::cli {
namespace {

std::string PathOf(const std::string& folder) { return absl::StrCat(folder, "/cluster.json"); }

bool ReadEntry(const json::Value& object, ServiceEntry* entry) {
  return object.Get("name", &entry->name) && object.Get("role", &entry->role) &&
         object.Get("pid", &entry->pid) && object.Get("address", &entry->address) &&
         object.Get("metrics", &entry->metrics) && object.Get("log", &entry->log) &&
         object.Get("restarts", &entry->restarts);
}

constexpr std::array<absl::string_view, 4> kRoles = {"orchestrator", "learner", "reward", "policy"};

std::optional<ClusterFile>& ConnectedCluster() {
  static std::optional<ClusterFile>* const cluster = new std::optional<ClusterFile>();
  return *cluster;
}

bool IsHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  const absl::string_view host = text.substr(0, colon);
  const bool ipv6 = host.front() == '[' && host.back() == ']';
  int port = 0;
  return host.find_first_of("=; \t/") == absl::string_view::npos &&
         (ipv6 || !absl::StrContains(host, ':')) &&
         absl::SimpleAtoi(text.substr(colon + 1), &port) && port > 0 && port <= 65535;
}

}  // namespace

absl::Status ConnectTo(const std::string& text) {
  ClusterFile cluster;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> entry =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const absl::string_view role = absl::StripAsciiWhitespace(entry.first);
    const absl::string_view address = absl::StripAsciiWhitespace(entry.second);
    if (!absl::c_linear_search(kRoles, role) || !IsHostPort(address)) {
      return absl::InvalidArgumentError(absl::StrCat("--connect: '", part,
                                                     "': expected ROLE=HOST:PORT, with a role of ",
                                                     absl::StrJoin(kRoles, ", ")));
    }
    ServiceEntry service;
    const auto same_role = absl::c_count_if(
        cluster.services, [&](const ServiceEntry& other) { return other.role == role; });
    service.name = same_role == 0 ? std::string(role) : absl::StrCat(role, "-", same_role);
    service.role = std::string(role);
    service.address = std::string(address);
    cluster.services.push_back(std::move(service));
  }
  if (cluster.services.empty())
    return absl::InvalidArgumentError("--connect: no service in it (ROLE=HOST:PORT,...)");
  ConnectedCluster() = std::move(cluster);
  return absl::OkStatus();
}

bool Connected() { return ConnectedCluster().has_value(); }

absl::StatusOr<ClusterFile> FindCluster(const std::string& folder) {
  if (Connected()) return *ConnectedCluster();
  return ReadClusterFile(folder);
}

absl::StatusOr<ClusterFile> ReadClusterFile(const std::string& folder) {
  absl::StatusOr<std::string> text = ReadFile(PathOf(folder));
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(absl::StrCat("no cluster runs in ", folder,
                                            " (start one with `mellow up --dir ", folder,
                                            "`, or name the services of another with --connect)"));
  }
  MELLOW_RETURN_IF_ERROR(text.status());
  const auto damaged = [&] {
    return absl::DataLossError(absl::StrCat(PathOf(folder), ": not a cluster file"));
  };
  const json::Value object = json::Parse(*text, "").value_or(json::Value());
  ClusterFile cluster;
  if (!object["services"].is_array() || !object["supervisor"].Get("pid", &cluster.supervisor_pid))
    return damaged();
  for (const json::Value& service : object["services"].elements()) {
    ServiceEntry entry;
    if (!ReadEntry(service, &entry)) return damaged();
    cluster.services.push_back(std::move(entry));
  }
  return cluster;
}

absl::Status WriteClusterFile(const std::string& folder, const ClusterFile& cluster) {
  json::Value services = json::Value::MakeArray();
  for (const ServiceEntry& s : cluster.services) {
    services.Append({{"name", s.name},
                     {"role", s.role},
                     {"pid", s.pid},
                     {"address", s.address},
                     {"metrics", s.metrics},
                     {"log", s.log},
                     {"restarts", s.restarts}});
  }
  const json::Value object = {{"services", services},
                              {"supervisor", {{"pid", cluster.supervisor_pid}}}};
  return WriteFileAtomic(PathOf(folder), json::Write(object, {.indentation = 2}) + "\n");
}

void RemoveClusterFile(const std::string& folder) { unlink(PathOf(folder).c_str()); }

absl::StatusOr<std::vector<ServiceEntry>> ServicesOfRole(const std::string& folder,
                                                         const std::string& role) {
  MELLOW_ASSIGN_OR_RETURN(const ClusterFile cluster, FindCluster(folder));
  std::vector<ServiceEntry> found;
  for (const ServiceEntry& service : cluster.services) {
    if (service.role == role) found.push_back(service);
  }
  if (found.empty())
    return absl::NotFoundError(
        Connected() ? absl::StrCat("--connect names no ", role, " service")
                    : absl::StrCat("the cluster in ", folder, " has no ", role, " service"));
  return found;
}

}  // namespace mellow::cli
