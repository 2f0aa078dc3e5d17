#include "services/cli/evaluate/evaluation_arms.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/status.h"
#include "services/cli/files/evaluation_file.h"
#include "services/cli/files/step_name.h"

namespace mellow::cli {
namespace {

using common::v1::AdapterRef;
using orchestrator::v1::KeptAdapter;

ResolvedArm BaseArm() {
  ResolvedArm base;
  base.arm.kind = "base";
  return base;
}

absl::StatusOr<int64_t> VersionOf(const std::string& name, const ClusterAdapters& cluster) {
  if (name == "champion")
    return cluster.champion.value_or(0);  // before a promotion: the base model
  if (name == "newest") return cluster.newest;
  int64_t version = 0;
  if (!absl::SimpleAtoi(name, &version))
    return absl::InvalidArgumentError("a version has at most 18 digits");
  return version;
}

// With the run that made it, where that is known.
ResolvedArm VersionArm(const char* kind, const AdapterRef& ref, const ClusterAdapters& cluster) {
  ResolvedArm resolved;
  eval::Arm& arm = resolved.arm;
  arm.kind = kind;
  arm.version = ref.version();
  arm.sha256 = ref.sha256();
  if (arm.version == 0) return resolved;
  for (const KeptAdapter& adapter : cluster.kept.adapters) {
    if (adapter.adapter().version() != arm.version) continue;
    arm.path = adapter.learner_path();
    arm.run_id = adapter.run_id();
  }
  for (const orchestrator::v1::Run& run : cluster.kept.runs) {
    if (run.run_id() == arm.run_id) arm.run_name = run.spec().name();
  }
  return resolved;
}

absl::StatusOr<ResolvedArm> ResolveClusterArm(const std::string& name,
                                              const ClusterAdapters* cluster) {
  if (cluster == nullptr) {
    return absl::InvalidArgumentError(
        "is of a cluster, but policy_model and reward.model say that none takes part");
  }
  if (const std::optional<StepName> step = ParseStepName(name)) {
    MELLOW_ASSIGN_OR_RETURN(const KeptAdapter adapter, FindKept(cluster->kept, *step));
    return VersionArm("version", adapter.adapter(), *cluster);
  }
  MELLOW_ASSIGN_OR_RETURN(const int64_t version, VersionOf(name, *cluster));
  const char* const kind = name == "champion" ? "champion" : version == 0 ? "base" : "version";
  std::set<int64_t> versions;
  for (const AdapterRef& ref : cluster->adapters) {
    versions.insert(ref.version());
    if (ref.version() == version) return VersionArm(kind, ref, *cluster);
  }
  for (const KeptAdapter& adapter : cluster->kept.adapters) {
    if (adapter.adapter().version() == version && adapter.has_files())
      return VersionArm(kind, adapter.adapter(), *cluster);
  }
  return NoSuchVersion(version, versions, cluster->kept);
}

absl::StatusOr<ResolvedArm> FolderArm(const std::string& folder) {
  ResolvedArm resolved;
  MELLOW_ASSIGN_OR_RETURN(resolved.lora, adapters::ReadPeftFolder(folder));
  resolved.arm.kind = "folder";
  resolved.arm.sha256 = adapters::ContentHash(*resolved.lora);
  resolved.arm.path = folder;
  return resolved;
}

// The weights before step 1 of the newest run. Versions are addresses, so the cluster may keep them
// under another one than the run's.
absl::StatusOr<ResolvedArm> StartArm(const ClusterAdapters* cluster) {
  if (cluster == nullptr || !cluster->newest_run.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        cluster == nullptr
            ? "no cluster takes part"
            : absl::StrCat("the cluster in ", cluster->folder, " has not run anything yet"),
        "; name the adapter's folder instead"));
  }
  const orchestrator::v1::Run& run = *cluster->newest_run;
  if (!run.has_start_adapter_ref()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the learner has not opened run ", run.run_id(), " yet"));
  }
  const AdapterRef& start = run.start_adapter_ref();
  if (start.version() == 0) return BaseArm();
  for (const AdapterRef& ref : cluster->adapters) {
    if (ref.sha256() == start.sha256() && ref.version() > 0)
      return ResolveClusterArm(absl::StrCat(ref.version()), cluster);
  }
  MELLOW_ASSIGN_OR_RETURN(ResolvedArm arm, FolderArm(run.spec().start_adapter()));
  if (arm.arm.sha256 == start.sha256()) return arm;
  return absl::FailedPreconditionError(
      absl::StrCat(run.spec().start_adapter(), " has changed since run ", run.run_id(), " began"));
}

absl::StatusOr<ResolvedArm> Resolve(const std::string& name, const ClusterAdapters* cluster) {
  if (name == "base") return BaseArm();
  if (name == "start") return StartArm(cluster);
  return IsFolderArm(name) ? FolderArm(name) : ResolveClusterArm(name, cluster);
}

// The last part of a folder's path.
std::string ShortName(const std::string& name) {
  if (!IsFolderArm(name)) return name;
  std::filesystem::path path(name);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

bool NameIsTaken(const std::vector<ResolvedArm>& arms, const ResolvedArm& arm) {
  return std::count_if(arms.begin(), arms.end(), [&](const ResolvedArm& other) {
           return other.arm.name == arm.arm.name;
         }) > 1;
}

// Results are told by name. A folder whose short name is another arm's too gets its whole path.
absl::Status MakeNamesUnique(std::vector<ResolvedArm>* arms) {
  std::vector<ResolvedArm*> ambiguous;
  for (ResolvedArm& arm : *arms) {
    if (arm.arm.kind == "folder" && NameIsTaken(*arms, arm)) ambiguous.push_back(&arm);
  }
  for (ResolvedArm* arm : ambiguous) arm->arm.name = arm->arm.path;
  for (const ResolvedArm& arm : *arms) {
    if (NameIsTaken(*arms, arm))
      return absl::InvalidArgumentError(absl::StrCat("arms: ", arm.arm.name, " is named twice"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ResolvedArm>> ResolveArms(absl::Span<const std::string> arms,
                                                     const ClusterAdapters* cluster) {
  std::vector<ResolvedArm> resolved;
  for (const std::string& name : arms) {
    absl::StatusOr<ResolvedArm> arm = Resolve(name, cluster);
    if (!arm.ok()) return Annotate(arm.status(), absl::StrCat("arms: ", name));
    arm->arm.name = ShortName(name);
    for (const ResolvedArm& other : resolved) {
      if (other.arm.sha256 != arm->arm.sha256) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "arms: ", other.arm.name, " and ", name, " have the same weights (",
          arm->arm.sha256.empty() ? "the base model" : absl::StrCat("sha256 ", arm->arm.sha256),
          "): nothing could differ"));
    }
    resolved.push_back(*std::move(arm));
  }
  MELLOW_RETURN_IF_ERROR(MakeNamesUnique(&resolved));
  return resolved;
}

}  // namespace mellow::cli
