// mellow adapters: every version, where it comes from, and whether it can still be had.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/cli/cluster/adapter_rows.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/terminal/command.h"

namespace mellow::cli {
namespace {

struct AdaptersOptions {
  std::string dir = ".mellow";
  std::string run;
  bool json = false;
};

absl::StatusOr<int> Adapters(const AdaptersOptions& options) {
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_ASSIGN_OR_RETURN(const ClusterFile cluster, FindCluster(folder));
  MELLOW_ASSIGN_OR_RETURN(const auto orchestrator, ConnectOrchestrator(folder));
  const AdapterRows served = CollectAdapters(cluster);
  const absl::StatusOr<KeptAdapters> kept = ListKept(orchestrator.get());
  if (served.empty() && !kept.ok()) return kept.status();
  if (!kept.ok())
    std::fprintf(stderr, "mellow: what is kept is not shown: %s\n",
                 std::string(kept.status().message()).c_str());
  int64_t champion = 0;
  if (const auto history = orchestrator->ListPromotions(); history.ok()) {
    champion = history->champion().version();
  } else {
    for (const auto& [version, row] : served) {
      if (!row.champion_of.empty()) champion = version;
    }
  }
  const KeptAdapters shown = kept.ok() ? *kept : KeptAdapters();
  std::vector<AdapterOrigin> adapters = JoinAdapters(served, shown, champion);
  if (!options.run.empty()) {
    MELLOW_ASSIGN_OR_RETURN(const orchestrator::v1::Run run,
                            FindRun(shown.runs, options.run, HasSteps));
    std::erase_if(adapters, [&](const AdapterOrigin& each) { return each.run_id != run.run_id(); });
  }
  if (options.json) {
    std::printf("%s\n", json::Write(AdaptersJson(adapters)).c_str());
    return 0;
  }
  size_t policies = 0;
  for (const ServiceEntry& service : cluster.services) policies += service.role == "policy" ? 1 : 0;
  std::fputs(AdaptersText(adapters, shown.runs, policies).c_str(), stdout);
  return 0;
}

}  // namespace

void AddAdapterCommands(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<AdaptersOptions>();
  CLI::App* sub = app->add_subcommand(
      "adapters",
      "Show the adapters: versions, hashes, which run and step made them, whether their files are "
      "kept, and how many policy servers have them");
  sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
  sub->add_option("--run", options->run,
                  "Only those of this run: an id, its beginning, a name, or newest")
      ->type_name("newest|RUN");
  sub->add_flag("--json", options->json, "One JSON value instead of a table");
  sub->footer(
      "FILES: whether the orchestrator has its copy. FROM is RUN@STEP, which `summarize "
      "--adapter`, `promote`, `train --from` and the arms of an "
      "evaluation take, also where RUN is given by its name.\n"
      "Examples:\n  mellow adapters\n  mellow adapters --run newest\n  mellow adapters --json");
  sub->callback([=] { *chosen = [=] { return Adapters(*options); }; });
}

}  // namespace mellow::cli
