// mellow status.

#include <google/protobuf/util/json_util.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
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

namespace mellow::cli {
namespace {

using PolicyStub = policy::v1::PolicyService::Stub;

constexpr absl::Duration kStatusTimeout = absl::Seconds(3);
constexpr size_t kShownRuns = 10;

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
};

std::vector<GenerationRow> CollectGeneration(const ClusterFile& cluster) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::vector<GenerationRow> rows;
  for (const ServiceEntry& service : cluster.services) {
    if (service.role != "policy") continue;
    const auto info = rpc::Call(rpc::MakeChannel(service.address), service.name, kStatusTimeout,
                                &PolicyStub::GetInfo, policy::v1::GetInfoRequest());
    std::string text;
    if (!info.ok() ||
        !google::protobuf::util::MessageToJsonString(info->default_sampling(), &text, options).ok())
      continue;
    rows.push_back({service.name,
                    json::Parse(text, "").value_or(json::Value()),
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
          {"runs", runs}};
}

void PrintAdapters(const AdapterRows& adapters) {
  std::vector<std::vector<std::string>> rows = {{"ADAPTER", "SHA256", "NODES", "CHAMPION OF"}};
  for (const auto& [version, row] : adapters) {
    rows.push_back({absl::StrCat(version, version == 0 ? " (base)" : ""), ShortHash(row.sha256),
                    absl::StrJoin(row.nodes, " "), absl::StrJoin(row.champion_of, " ")});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
}

// A table of the newest runs and those in progress, and more of the newest and of those.
void PrintRuns(const std::vector<orchestrator::v1::Run>& runs) {
  if (runs.empty()) {
    std::printf("\nno run yet\n");
    return;
  }
  std::vector<std::vector<std::string>> rows = {{"RUN", "NAME", "METHOD", "STATE", "STEP"}};
  for (const orchestrator::v1::Run& run : runs) {
    if (rows.size() > kShownRuns && run.state() != orchestrator::v1::RUN_STATE_RUNNING) continue;
    rows.push_back({run.run_id(), PrintableLine(run.spec().name()), MethodName(run), StateName(run),
                    absl::StrCat(run.committed_steps(), " of ", run.total_steps())});
  }
  std::printf("\n%s", FormatTable(rows).c_str());
  for (const orchestrator::v1::Run& run : runs) {
    if (&run != &runs.front() && run.state() != orchestrator::v1::RUN_STATE_RUNNING) continue;
    std::printf(
        "\nrun %s: %s\n", run.run_id().c_str(),
        run.activity().empty() ? StateName(run).c_str() : PrintableLine(run.activity()).c_str());
    for (const orchestrator::v1::PinnedModel& model : run.models())
      std::printf("  model of %s: %s (%s)\n", RoleName(model.role()).c_str(),
                  ShortHash(model.model_sha256()).c_str(),
                  PrintableLine(model.precision()).c_str());
    if (!run.error().empty()) std::printf("  %s\n", PrintableLine(run.error()).c_str());
    for (const std::string& trip : TripTexts(run)) std::printf("  %s\n", trip.c_str());
    if (run.adapter_path().empty()) continue;
    std::printf("  adapter %s in %s\n",
                run.spec().has_sft() ? ShortHash(run.sft().adapter_sha256()).c_str()
                                     : absl::StrCat(run.adapter().version()).c_str(),
                PrintableLine(run.adapter_path()).c_str());
  }
}

void Print(const Report& report) {
  if (!Connected()) {
    std::printf("cluster in %s; supervisor %d %s\n\n", report.folder.c_str(),
                report.cluster.supervisor_pid,
                report.supervised
                    ? "runs"
                    : "is gone: nothing will be restarted (`mellow up` again, or `mellow down`)");
  }
  std::vector<std::vector<std::string>> rows = {
      {"SERVICE", "HEALTH", "DEVICE", "ADDRESS", "PID", "RESTARTS"}};
  for (size_t i = 0; i < report.cluster.services.size(); ++i) {
    const ServiceEntry& s = report.cluster.services[i];
    rows.push_back({s.name, report.health[i], DeviceOf(report, s), s.address, absl::StrCat(s.pid),
                    absl::StrCat(s.restarts)});
  }
  std::printf("%s\n", FormatTable(rows).c_str());
  rows = {{"NODE", "STATE", "THREADS", "TOKENS/S", "LEASES", "LOST", "ADAPTER", "REASON"}};
  for (const orchestrator::v1::Node& n : report.nodes) {
    rows.push_back({n.node_id(), NodeStateName(n), absl::StrCat(n.capacity().threads()),
                    ShortNumber(n.capacity().tokens_per_second()), absl::StrCat(n.leases_done()),
                    absl::StrCat(n.leases_lost()), absl::StrCat(n.newest().version()), n.reason()});
  }
  std::printf("%s", FormatTable(rows).c_str());
  for (const orchestrator::v1::Node& n : report.nodes) {
    if (!n.capacity().toxic_label().empty())
      std::printf("%s: toxicity means the label %s\n", n.node_id().c_str(),
                  PrintableLine(n.capacity().toxic_label()).c_str());
  }
  std::printf("\n");
  PrintAdapters(report.adapters);
  for (const GenerationRow& row : report.generation) {
    std::printf("\n%s generates with %s unless a request says otherwise\n", row.node.c_str(),
                PrintableLine(json::Write(row.sampling)).c_str());
    for (const std::string& warning : row.warnings)
      std::printf("  warning: %s\n", PrintableLine(warning).c_str());
  }
  PrintRuns(report.runs);
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
  }
  report.adapters = CollectAdapters(report.cluster);
  report.generation = CollectGeneration(report.cluster);
  if (options.json) {
    std::printf("%s\n", json::Write(ToJson(report)).c_str());
  } else {
    Print(report);
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
