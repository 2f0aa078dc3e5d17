// mellow status.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "common/rpc/call.h"
#include "common/rpc/client.h"
#include "mellow/policy/v1/policy.grpc.pb.h"
#include "services/cli/cluster/adapter_json.h"
#include "services/cli/cluster/adapter_rows.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/process.h"
#include "services/cli/cluster/run_view.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"
#include "services/wire/proto_json.h"

namespace mellow::cli {
namespace {

using PolicyStub = policy::v1::PolicyService::Stub;

constexpr absl::Duration kStatusTimeout = absl::Seconds(3);
constexpr size_t kShownRuns = 10;
constexpr size_t kAddressColumn = 24;  // longer ones stand below their rows

using Rows = std::vector<std::vector<std::string>>;

struct StatusOptions {
  std::string dir = ".mellow";
  bool json = false;
};

// What a policy server generates with when a request says nothing, and what it noticed in its
// model.
struct GenerationRow {
  std::string node;
  json::Value sampling;
  std::vector<std::string> warnings;
};

struct Report {
  std::string folder;
  ClusterFile cluster;
  bool supervised = false;
  std::vector<std::string> health;  // beside cluster.services: SERVING or NOT_SERVING
  std::vector<orchestrator::v1::Node> nodes;
  AdapterRows adapters;
  std::vector<GenerationRow> generation;
  std::vector<orchestrator::v1::Run> runs;  // newest first
  std::string trouble;                      // with the champion; empty: none
};

std::vector<GenerationRow> CollectGeneration(const ClusterFile& cluster) {
  std::vector<GenerationRow> rows;
  for (const ServiceEntry& service : cluster.services) {
    if (service.role != "policy") continue;
    const auto info = rpc::Call(rpc::MakeChannel(service.address), service.name, kStatusTimeout,
                                &PolicyStub::GetInfo, policy::v1::GetInfoRequest());
    if (!info.ok()) continue;
    rows.push_back({service.name,
                    json::Parse(wire::ToJson(info->default_sampling()), "").value_or(json::Value()),
                    {info->warnings().begin(), info->warnings().end()}});
  }
  return rows;
}

std::string NodeStateName(const orchestrator::v1::Node& node) {
  return std::string(
      absl::StripPrefix(orchestrator::v1::NodeState_Name(node.state()), "NODE_STATE_"));
}

std::string DeviceOf(const Report& report, const ServiceEntry& service) {
  for (const orchestrator::v1::Node& node : report.nodes) {
    if (node.node_id() == service.name) return node.capacity().device();
  }
  return "-";
}

json::Value GenerationJson(const std::vector<GenerationRow>& rows) {
  json::Value out = json::Value::MakeArray();
  for (const GenerationRow& row : rows)
    out.Append(
        {{"node", row.node}, {"default_sampling", row.sampling}, {"warnings", row.warnings}});
  return out;
}

json::Value ToJson(const Report& report) {
  json::Value services = json::Value::MakeArray();
  for (size_t i = 0; i < report.cluster.services.size(); ++i) {
    const ServiceEntry& s = report.cluster.services[i];
    services.Append({{"name", s.name},
                     {"role", s.role},
                     {"pid", s.pid},
                     {"address", s.address},
                     {"metrics", s.metrics},
                     {"health", report.health[i]},
                     {"device", DeviceOf(report, s)},
                     {"restarts", s.restarts}});
  }
  json::Value nodes = json::Value::MakeArray();
  for (const orchestrator::v1::Node& n : report.nodes) {
    nodes.Append({{"node_id", n.node_id()},
                  {"role", RoleName(n.role())},
                  {"state", NodeStateName(n)},
                  {"reason", n.reason()},
                  {"address", n.address()},
                  {"device", n.capacity().device()},
                  {"threads", n.capacity().threads()},
                  {"model", n.capacity().model()},
                  {"model_sha256", n.capacity().model_sha256()},
                  {"precision", n.capacity().precision()},
                  {"toxic_label", n.capacity().toxic_label()},
                  {"tokens_per_second", n.capacity().tokens_per_second()},
                  {"leases_done", n.leases_done()},
                  {"leases_lost", n.leases_lost()},
                  {"adapter", AdapterJson(n.newest())}});
  }
  json::Value runs = json::Value::MakeArray();
  for (const orchestrator::v1::Run& r : report.runs) runs.Append(RunJson(r));
  return {{"dir", report.folder},
          {"supervisor", {{"pid", report.cluster.supervisor_pid}, {"alive", report.supervised}}},
          {"services", services},
          {"nodes", nodes},
          {"adapters", RowsJson(report.adapters)},
          {"generation", GenerationJson(report.generation)},
          {"run", runs[0]},
          {"runs", runs},
          {"trouble", report.trouble}};
}

void PrintServices(const Report& report) {
  const std::vector<ServiceEntry>& services = report.cluster.services;
  const bool column = std::all_of(services.begin(), services.end(), [](const ServiceEntry& s) {
    return s.address.size() <= kAddressColumn;
  });
  // Nobody here knows more than the address of a cluster that `mellow up` did not start.
  const bool processes = !Connected();
  Rows rows = {{"SERVICE", "HEALTH", "DEVICE"}};
  Rows notes(1);
  if (processes) rows[0].insert(rows[0].end(), {"PID", "RESTARTS"});
  if (column) rows[0].emplace_back("ADDRESS");
  for (size_t i = 0; i < services.size(); ++i) {
    const ServiceEntry& s = services[i];
    std::vector<std::string>& row =
        rows.emplace_back(std::vector{s.name, report.health[i], DeviceOf(report, s)});
    if (processes) row.insert(row.end(), {absl::StrCat(s.pid), absl::StrCat(s.restarts)});
    notes.emplace_back();
    (column ? row : notes.back()).push_back(s.address);
  }
  std::printf("%s\n", FormatTable(rows, notes).c_str());
}

void PrintNodes(const std::vector<orchestrator::v1::Node>& nodes) {
  Rows rows = {{"NODE", "STATE", "THREADS", "TOKENS/S", "LEASES", "LOST", "ADAPTER"}};
  Rows notes(1);
  for (const orchestrator::v1::Node& n : nodes) {
    rows.push_back({n.node_id(), NodeStateName(n), absl::StrCat(n.capacity().threads()),
                    ShortNumber(n.capacity().tokens_per_second()), absl::StrCat(n.leases_done()),
                    absl::StrCat(n.leases_lost()), absl::StrCat(n.newest().version())});
    notes.emplace_back();
    if (!n.reason().empty()) notes.back().push_back(n.reason());
  }
  std::printf("%s", FormatTable(rows, notes).c_str());
  for (const orchestrator::v1::Node& n : nodes) {
    if (!n.capacity().toxic_label().empty())
      std::printf("%s: toxicity means the label %s\n", n.node_id().c_str(),
                  PrintableLine(n.capacity().toxic_label()).c_str());
  }
}

// Counts; names where not every policy has it.
void PrintAdapters(const Report& report) {
  const auto policies = static_cast<size_t>(
      std::count_if(report.cluster.services.begin(), report.cluster.services.end(),
                    [](const ServiceEntry& s) { return s.role == "policy"; }));
  Rows rows = {{"ADAPTER", "SHA256", "NODES", "CHAMPION OF"}};
  Rows notes(1);
  for (const auto& [version, row] : report.adapters) {
    const auto count = [policies](const std::vector<std::string>& names) {
      return absl::StrCat(names.size(), "/", policies);
    };
    rows.push_back({absl::StrCat(version, version == 0 ? " (base)" : ""), ShortHash(row.sha256),
                    count(row.nodes), row.champion_of.empty() ? "" : count(row.champion_of)});
    notes.emplace_back();
    if (row.nodes.size() < policies)
      notes.back().push_back(absl::StrCat("on ", absl::StrJoin(row.nodes, ", ")));
    if (!row.champion_of.empty() && row.champion_of.size() < policies)
      notes.back().push_back(absl::StrCat("champion of ", absl::StrJoin(row.champion_of, ", ")));
  }
  std::printf("\n%s", FormatTable(rows, notes).c_str());
}

// Nodes that say the same are told of together.
void PrintGeneration(const std::vector<GenerationRow>& rows) {
  std::vector<std::pair<const GenerationRow*, std::vector<std::string>>> groups;
  for (const GenerationRow& row : rows) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return json::Write(group.first->sampling) == json::Write(row.sampling) &&
             group.first->warnings == row.warnings;
    });
    (same == groups.end() ? groups.emplace_back(&row, std::vector<std::string>()) : *same)
        .second.push_back(row.node);
  }
  for (const auto& [row, nodes] : groups) {
    std::vector<std::string> settings;
    for (const auto& [name, value] : row->sampling.members())
      settings.push_back(absl::StrCat(name, " ", json::Write(value)));
    std::printf("\n%s", Wrap(absl::StrCat(
                                 absl::StrJoin(nodes, ", "),
                                 nodes.size() == 1 ? " generates with " : " generate with ",
                                 absl::StrJoin(settings, ", "), " unless a request says otherwise"),
                             kTableWidth, "")
                            .c_str());
    for (const std::string& warning : row->warnings)
      std::printf("%s", Wrap(absl::StrCat("warning: ", warning), kTableWidth, "  ").c_str());
  }
}

// A table of the newest runs and those in progress, and more of the newest and of those.
void PrintRuns(const std::vector<orchestrator::v1::Run>& runs, const std::string& dir) {
  std::vector<orchestrator::v1::Run> shown;
  for (const orchestrator::v1::Run& run : runs) {
    if (shown.size() < kShownRuns || run.state() == orchestrator::v1::RUN_STATE_RUNNING)
      shown.push_back(run);
  }
  std::printf("\n%s", RunsText(shown, dir).c_str());
  for (const orchestrator::v1::Run& run : runs) {
    if (&run != &runs.front() && run.state() != orchestrator::v1::RUN_STATE_RUNNING) continue;
    if (run.models().empty() && run.adapter_path().empty()) continue;
    std::printf("\nrun %s\n", run.run_id().c_str());
    for (const orchestrator::v1::PinnedModel& model : run.models())
      std::printf("  model of %s: %s (%s)\n", RoleName(model.role()).c_str(),
                  ShortHash(model.model_sha256()).c_str(),
                  PrintableLine(model.precision()).c_str());
    if (run.adapter_path().empty()) continue;
    // A path that is broken is none.
    std::printf("  adapter %s in\n  %s\n",
                run.spec().has_sft() ? ShortHash(run.sft().adapter_sha256()).c_str()
                                     : absl::StrCat(run.adapter().version()).c_str(),
                PrintableLine(run.adapter_path()).c_str());
  }
}

void Print(const Report& report, const std::string& dir) {
  if (!Connected()) {
    std::printf("cluster in %s\nsupervisor %d %s\n\n", report.folder.c_str(),
                report.cluster.supervisor_pid,
                report.supervised
                    ? "runs"
                    : "is gone: nothing will be restarted (`mellow up` again, or\n`mellow down`)");
  }
  PrintServices(report);
  PrintNodes(report.nodes);
  PrintAdapters(report);
  if (!report.trouble.empty())
    std::printf("\n%s", Wrap(PrintableLine(report.trouble), kTableWidth, "").c_str());
  PrintGeneration(report.generation);
  PrintRuns(report.runs, dir);
}

absl::StatusOr<int> Status(const StatusOptions& options) {
  Report report;
  report.folder = CanonicalFolder(options.dir);
  MELLOW_ASSIGN_OR_RETURN(report.cluster, FindCluster(report.folder));
  report.supervised = IsMarked(report.cluster.supervisor_pid, report.folder);
  for (const ServiceEntry& service : report.cluster.services) {
    const absl::Status health =
        rpc::CheckHealth(rpc::MakeChannel(service.address), service.address, kStatusTimeout);
    report.health.emplace_back(health.ok() ? "SERVING" : "NOT_SERVING");
    if (service.role != "orchestrator" || !health.ok()) continue;
    OrchestratorClient orchestrator(service.address);
    auto nodes = orchestrator.ListNodes();
    if (absl::IsPermissionDenied(nodes.status()) || absl::IsUnauthenticated(nodes.status()))
      return nodes.status();
    if (nodes.ok()) report.nodes = *std::move(nodes);
    if (auto runs = orchestrator.ListRuns(); runs.ok()) report.runs = *std::move(runs);
    if (const auto history = orchestrator.ListPromotions(); history.ok())
      report.trouble = history->trouble();
  }
  report.adapters = CollectAdapters(report.cluster);
  report.generation = CollectGeneration(report.cluster);
  if (options.json) {
    std::printf("%s\n", json::Write(ToJson(report)).c_str());
  } else {
    Print(report, options.dir);
  }
  return 0;
}

}  // namespace

void AddStatusCommands(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* sub = app->add_subcommand(
      "status", "Show services, health, devices, nodes, adapters, and the runs");
  sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
  sub->add_flag("--json", options->json, "One JSON value instead of tables");
  sub->footer("Examples:\n  mellow status\n  mellow status --json | python3 -m json.tool");
  sub->callback([=] { *chosen = [=] { return Status(*options); }; });
}

}  // namespace mellow::cli
