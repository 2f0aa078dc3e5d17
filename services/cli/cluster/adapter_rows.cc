#include "services/cli/cluster/adapter_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/sha256.h"
#include "common/rpc/call.h"
#include "common/rpc/client.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

using PolicyStub = policy::v1::PolicyService::Stub;

constexpr absl::Duration kRowsTimeout = absl::Seconds(3);

std::string Origin(const AdapterOrigin& adapter, const std::map<std::string, std::string>& ids) {
  if (adapter.version == 0) return "base model";
  if (adapter.run_id.empty())
    return adapter.promotion > 0 ? absl::StrCat("promotion ", adapter.promotion) : "-";
  const auto it = ids.find(adapter.run_id);
  return absl::StrCat(it == ids.end() ? adapter.run_id : it->second, "@", adapter.step);
}

std::string Marks(const AdapterOrigin& adapter) {
  std::vector<std::string> marks;
  if (adapter.champion) marks.push_back("champion");
  if (adapter.newest) marks.push_back("newest");
  if (!adapter.champion && adapter.promotion > 0) marks.push_back("promoted");
  if (adapter.withdrawn) marks.push_back("withdrawn");
  return absl::StrJoin(marks, " ");
}

}  // namespace

AdapterRows CollectAdapters(const ClusterFile& cluster) {
  AdapterRows rows;
  for (const ServiceEntry& service : cluster.services) {
    if (service.role != "policy") continue;
    const auto adapters = rpc::Call(rpc::MakeChannel(service.address), service.name, kRowsTimeout,
                                    &PolicyStub::ListAdapters, policy::v1::ListAdaptersRequest());
    if (!adapters.ok()) continue;
    for (const common::v1::AdapterRef& adapter : adapters->adapters()) {
      AdapterRow& row = rows[adapter.version()];
      row.sha256 = adapter.sha256();
      row.nodes.push_back(service.name);
      // Without a champion users get the base model.
      const int64_t champion = adapters->has_champion() ? adapters->champion().version() : 0;
      if (champion == adapter.version()) row.champion_of.push_back(service.name);
    }
  }
  return rows;
}

json::Value RowsJson(const AdapterRows& rows) {
  json::Value out = json::Value::MakeArray();
  for (const auto& [version, row] : rows)
    out.Append({{"version", version},
                {"sha256", row.sha256},
                {"nodes", row.nodes},
                {"champion_of", row.champion_of}});
  return out;
}

std::vector<AdapterOrigin> JoinAdapters(const AdapterRows& served, const KeptAdapters& kept,
                                        int64_t champion) {
  std::map<std::string, std::string> names;
  for (const orchestrator::v1::Run& run : kept.runs) names[run.run_id()] = run.spec().name();
  std::multimap<int64_t, AdapterOrigin> joined;
  int64_t newest = 0;
  for (const orchestrator::v1::KeptAdapter& from : kept.adapters) {
    AdapterOrigin adapter{.version = from.adapter().version(),
                          .run_id = from.run_id(),
                          .run_name = names[from.run_id()],
                          .step = from.step(),
                          .promotion = from.promotion(),
                          .has_files = from.has_files(),
                          .learner_path = from.learner_path(),
                          .withdrawn = from.withdrawn()};
    adapter.served.sha256 = from.adapter().sha256();
    if (from.step() > 0 && !from.withdrawn()) newest = std::max(newest, adapter.version);
    joined.emplace(adapter.version, std::move(adapter));
  }
  for (const auto& [version, row] : served) {
    if (!joined.contains(version))
      joined.emplace(version, AdapterOrigin{.version = version, .has_files = version == 0});
    const auto [begin, end] = joined.equal_range(version);
    for (auto it = begin; it != end; ++it) it->second.served = row;
  }
  std::vector<AdapterOrigin> list;
  for (auto& [version, adapter] : joined) {
    adapter.champion = version == champion;
    adapter.newest = version > 0 && version == newest;
    list.push_back(std::move(adapter));
  }
  return list;
}

json::Value AdaptersJson(absl::Span<const AdapterOrigin> adapters) {
  json::Value out = json::Value::MakeArray();
  for (const AdapterOrigin& adapter : adapters) {
    const bool of_run = !adapter.run_id.empty();
    out.Append(
        {{"version", adapter.version},
         {"sha256", adapter.served.sha256},
         {"run_id", adapter.run_id},
         {"run_name", adapter.run_name},
         {"step", of_run ? json::Value(adapter.step) : json::Value()},
         {"promotion", adapter.promotion > 0 ? json::Value(adapter.promotion) : json::Value()},
         {"files", adapter.has_files},
         {"learner_path", adapter.learner_path},
         {"champion", adapter.champion},
         {"newest", adapter.newest},
         {"withdrawn", adapter.withdrawn},
         {"nodes", adapter.served.nodes},
         {"champion_of", adapter.served.champion_of}});
  }
  return out;
}

std::string AdaptersText(absl::Span<const AdapterOrigin> adapters,
                         absl::Span<const orchestrator::v1::Run> runs, size_t policies) {
  std::map<std::string, std::string> ids;
  const std::vector<std::string> short_ids = ShortIds(runs);
  for (size_t i = 0; i < runs.size(); ++i) ids[runs[i].run_id()] = short_ids[i];
  std::vector<std::vector<std::string>> rows = {
      {"ADAPTER", "SHA256", "FROM", "FILES", "NODES", "WHAT"}};
  for (const AdapterOrigin& adapter : adapters) {
    rows.push_back({absl::StrCat(adapter.version), ShortHash(adapter.served.sha256),
                    Origin(adapter, ids), adapter.has_files ? "kept" : "gone",
                    absl::StrCat(adapter.served.nodes.size(), "/", policies), Marks(adapter)});
  }
  return FormatTable(rows);
}

}  // namespace mellow::cli
