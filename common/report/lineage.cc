#include "common/report/lineage.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/report/numbers.h"

namespace mellow::report {
namespace {

// An origin and the hash that it started from; empty: the base model, fresh or unknown weights.
struct Found {
  Origin origin;
  std::string start_sha256;
};

std::string StartWords(const PpoRun& run) {
  const std::string hash = run.start.has_value() && !run.start->sha256.empty()
                               ? absl::StrCat(" (", ShortHash(run.start->sha256), ")")
                               : "";
  if (!run.start_adapter.empty()) return absl::StrCat(run.start_adapter, hash);
  return absl::StrCat("a fresh adapter", hash);
}

std::optional<Found> FindPpo(const ClusterHistory& cluster, const std::string& sha256) {
  // Oldest first: who had the weights first made them.
  for (auto run = cluster.runs.rbegin(); run != cluster.runs.rend(); ++run) {
    for (const PpoStep& step : run->steps) {
      if (step.adapter.sha256 != sha256) continue;
      Found found;
      found.origin.kind = "PPO";
      found.origin.run_id = run->run_id;
      found.origin.run_name = run->name;
      found.origin.spec_sha256 = run->spec_sha256;
      found.origin.step = step.step;
      found.origin.adapter = step.adapter;
      found.origin.start = StartWords(*run);
      if (run->start.has_value()) found.start_sha256 = run->start->sha256;
      return found;
    }
  }
  return std::nullopt;
}

std::optional<Found> FindSft(const ClusterHistory& cluster, const std::string& sha256) {
  for (const SftRun& run : cluster.sft) {
    if (run.adapter_sha256 != sha256) continue;
    // The run says which folder it started from, not which weights: the trace ends here.
    Found found;
    found.origin.kind = "SFT";
    found.origin.run_id = run.run_id;
    found.origin.run_name = run.name;
    found.origin.spec_sha256 = run.spec_sha256;
    found.origin.step = run.best_step.value_or(run.planned_steps);
    found.origin.adapter.sha256 = sha256;
    found.origin.start = run.start_adapter.empty() ? "a fresh adapter" : run.start_adapter;
    return found;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ArmLineage> TraceArms(const eval::Evaluation& evaluation,
                                  const ClusterHistory& cluster) {
  std::vector<ArmLineage> lineages;
  for (const eval::Arm& arm : evaluation.arms) {
    ArmLineage lineage{.arm = arm.name, .sha256 = arm.sha256};
    std::set<std::string> seen;  // a run that changed nothing starts from what it made
    for (std::string sha256 = arm.sha256; !sha256.empty() && seen.insert(sha256).second;) {
      std::optional<Found> found = FindPpo(cluster, sha256);
      if (!found.has_value()) found = FindSft(cluster, sha256);
      if (!found.has_value()) break;
      sha256 = found->start_sha256;
      lineage.origins.push_back(std::move(found->origin));
    }
    lineages.push_back(std::move(lineage));
  }
  return lineages;
}

ClusterHistory OfArms(const ClusterHistory& cluster, const std::vector<ArmLineage>& arms) {
  std::set<std::string> runs, weights;
  for (const ArmLineage& arm : arms) {
    if (!arm.sha256.empty()) weights.insert(arm.sha256);
    for (const Origin& origin : arm.origins) {
      runs.insert(origin.run_id);
      weights.insert(origin.adapter.sha256);
    }
  }
  ClusterHistory of;
  const auto keep = [](const auto& all, auto* some, const auto& wanted) {
    std::copy_if(all.begin(), all.end(), std::back_inserter(*some), wanted);
  };
  const auto made_one = [&](const auto& run) { return runs.contains(run.run_id); };
  keep(cluster.runs, &of.runs, made_one);
  keep(cluster.sft, &of.sft, made_one);
  keep(cluster.promotions, &of.promotions, [&](const Promotion& p) {
    return weights.contains(p.adapter.sha256) || weights.contains(p.previous.sha256);
  });
  return of;
}

}  // namespace mellow::report
