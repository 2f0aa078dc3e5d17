#include "services/orchestrator/run/adapter_shelf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/sync/in_batches.h"
#include "services/orchestrator/nodes/wait_on_registry.h"

namespace mellow::orchestrator {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);
// Nodes that get an adapter's bytes from this process at the same time.
constexpr int kAtOnce = 8;

}  // namespace

absl::StatusOr<std::vector<ShelvedAdapter>> AdapterShelf::List() const {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<KeptAdapter> kept, parts_.ledger->KeptAdapters());
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  // A step may have the weights, and the version, of another one.
  std::multimap<int64_t, ShelvedAdapter> shelf;
  std::map<std::string, std::vector<GuardTrip>> trips;
  for (const KeptAdapter& adapter : kept) {
    const auto [of_run, fresh] = trips.try_emplace(adapter.run_id);
    if (fresh) {
      MELLOW_ASSIGN_OR_RETURN(of_run->second, parts_.ledger->Trips(adapter.run_id));
    }
    const bool withdrawn =
        std::any_of(of_run->second.begin(), of_run->second.end(), [&](const GuardTrip& trip) {
          return adapter.step > trip.good_step && adapter.step <= trip.step;
        });
    shelf.emplace(adapter.ref.version, ShelvedAdapter{.ref = adapter.ref,
                                                      .run_id = adapter.run_id,
                                                      .step = adapter.step,
                                                      .learner_path = adapter.learner_path,
                                                      .path = KeptFolder(adapter.folder),
                                                      .withdrawn = withdrawn});
  }
  for (const PromotionEvent& event : history) {
    if (event.action != PromotionAction::kPromote || !event.champion || event.champion->IsBase())
      continue;
    const ChampionRecord& champion = *event.champion;
    if (!shelf.contains(champion.ref.version))
      shelf.emplace(champion.ref.version,
                    ShelvedAdapter{.ref = champion.ref, .run_id = champion.run_id});
    const auto [begin, end] = shelf.equal_range(champion.ref.version);
    for (auto it = begin; it != end; ++it) {
      it->second.promotion = event.sequence;
      if (it->second.path.empty()) it->second.path = KeptFolder(champion.folder);
    }
  }
  std::vector<ShelvedAdapter> list;
  for (auto& [version, adapter] : shelf) list.push_back(std::move(adapter));
  return list;
}

std::string AdapterShelf::KeptFolder(const std::string& folder) const {
  return parts_.adapters->Has(folder) ? folder : "";
}

absl::StatusOr<AdapterTarget> AdapterShelf::Find(int64_t version) const {
  AdapterTarget found;
  MELLOW_ASSIGN_OR_RETURN(std::optional<AdapterRecord> kept, parts_.ledger->FindAdapter(version));
  std::vector<std::string> folders;
  if (kept) {
    found.ref = kept->ref;
    found.canary = std::move(kept->canary);
    folders.push_back(kept->folder);
  }
  // A champion has a copy of its own.
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  for (const PromotionEvent& event : history) {
    if (!event.champion || event.champion->ref.version != version) continue;
    if (!kept) {
      found.ref = event.champion->ref;
      found.canary = event.champion->canary;
    }
    folders.push_back(event.champion->folder);
  }
  for (const std::string& folder : folders) {
    absl::StatusOr<adapters::PeftFiles> files = parts_.adapters->Read(folder, found.ref.sha256);
    if (!files.ok()) continue;
    found.files = std::make_shared<const adapters::PeftFiles>(*std::move(files));
    return found;
  }
  return absl::NotFoundError(
      absl::StrCat("adapter version ", version,
                   folders.empty() ? " is not kept" : ": its files are not there anymore",
                   " (`mellow adapters` shows those that are)"));
}

absl::StatusOr<AdapterRef> AdapterShelf::Load(int64_t version) {
  if (version < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("version ", version, ": must be at least 1 (0 is the base model)"));
  MELLOW_ASSIGN_OR_RETURN(const AdapterTarget adapter, Find(version));
  // Between two steps of a run every node is unverified for a moment.
  WaitOnRegistry(parts_.registry, shutdown_.get_token(), SteadyTime::Now() + kPatience,
                 [&] { return parts_.registry->Untried() == 0; });
  if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
  const std::vector<NodeHandle> nodes =
      parts_.registry->Ready(NodeRole::kPolicy, SteadyTime::Now());
  if (nodes.empty())
    return absl::UnavailableError(parts_.registry->WhyNoneReady(NodeRole::kPolicy));
  MELLOW_RETURN_IF_ERROR(InBatches(
      nodes.size(), 1, std::min(kAtOnce, static_cast<int>(nodes.size())), [&](size_t i, size_t) {
        bool wrong_weights = false;
        return TryCandidate(parts_.clients->Policy(nodes[i].node_id, nodes[i].address).get(),
                            adapter, shutdown_.get_token(), &wrong_weights);
      }));
  return adapter.ref;
}

}  // namespace mellow::orchestrator
