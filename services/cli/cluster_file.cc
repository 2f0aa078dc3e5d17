#include "services/cli/cluster_file.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace mellow::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string PathOf(const std::string& folder) { return absl::StrCat(folder, "/cluster.json"); }

bool ReadText(const Json& object, const char* key, std::string* out) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return false;
  *out = found->get<std::string>();
  return true;
}

bool ReadInt(const Json& object, const char* key, int* out) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return false;
  *out = found->get<int>();
  return true;
}

bool ReadEntry(const Json& object, ServiceEntry* entry) {
  return object.is_object() && ReadText(object, "name", &entry->name) &&
         ReadText(object, "role", &entry->role) && ReadInt(object, "pid", &entry->pid) &&
         ReadText(object, "address", &entry->address) &&
         ReadText(object, "metrics", &entry->metrics) && ReadText(object, "log", &entry->log) &&
         ReadInt(object, "restarts", &entry->restarts);
}

}  // namespace

absl::StatusOr<ClusterFile> ReadClusterFile(const std::string& folder) {
  absl::StatusOr<std::string> text = ReadFile(PathOf(folder));
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(absl::StrCat("no cluster runs in ", folder,
                                            " (start one with `mellow up --dir ", folder, "`)"));
  }
  MELLOW_RETURN_IF_ERROR(text.status());
  const auto damaged = [&] {
    return absl::DataLossError(absl::StrCat(PathOf(folder), ": not a cluster file"));
  };
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("services") || !json["services"].is_array())
    return damaged();
  ClusterFile cluster;
  const auto supervisor = json.find("supervisor");
  if (supervisor == json.end() || !supervisor->is_object() ||
      !ReadInt(*supervisor, "pid", &cluster.supervisor_pid))
    return damaged();
  for (const Json& object : json["services"]) {
    ServiceEntry entry;
    if (!ReadEntry(object, &entry)) return damaged();
    cluster.services.push_back(std::move(entry));
  }
  return cluster;
}

absl::Status WriteClusterFile(const std::string& folder, const ClusterFile& cluster) {
  Json services = Json::array();
  for (const ServiceEntry& s : cluster.services) {
    services.push_back({{"name", s.name},
                        {"role", s.role},
                        {"pid", s.pid},
                        {"address", s.address},
                        {"metrics", s.metrics},
                        {"log", s.log},
                        {"restarts", s.restarts}});
  }
  const Json json = {{"services", services}, {"supervisor", {{"pid", cluster.supervisor_pid}}}};
  return WriteFileAtomic(PathOf(folder),
                         json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void RemoveClusterFile(const std::string& folder) { unlink(PathOf(folder).c_str()); }

absl::StatusOr<std::vector<ServiceEntry>> ServicesOfRole(const std::string& folder,
                                                         const std::string& role) {
  MELLOW_ASSIGN_OR_RETURN(const ClusterFile cluster, ReadClusterFile(folder));
  std::vector<ServiceEntry> found;
  for (const ServiceEntry& service : cluster.services) {
    if (service.role == role) found.push_back(service);
  }
  if (found.empty())
    return absl::NotFoundError(
        absl::StrCat("the cluster in ", folder, " has no ", role, " service"));
  return found;
}

}  // namespace mellow::cli
