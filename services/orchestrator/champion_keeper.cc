#include "services/orchestrator/champion_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "services/orchestrator/mailbox.h"

namespace mellow::orchestrator {
namespace {

// In the adapter store: where champions outlive the runs that made them.
constexpr char kChampions[] = "champions";
// A caller wants to see the champion served when the answer comes, but a node that is slow or away
// gets it later all the same.
constexpr absl::Duration kSettle = absl::Seconds(30);

bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsDataLoss(status) ||
         absl::IsAlreadyExists(status) || absl::IsFailedPrecondition(status);
}

std::optional<ChampionRecord> Current(const std::vector<PromotionEvent>& history) {
  const std::vector<ChampionRecord> stack = ChampionStack(history);
  return stack.empty() ? std::nullopt : std::optional<ChampionRecord>(stack.back());
}

std::optional<AdapterRef> RefOf(const std::optional<ChampionRecord>& champion) {
  return champion ? std::optional<AdapterRef>(champion->ref) : std::nullopt;
}

const PromotionEvent* FindRequest(const std::vector<PromotionEvent>& history,
                                  const std::string& request_id) {
  const auto it = std::find_if(history.begin(), history.end(),
                               [&](const auto& event) { return event.request_id == request_id; });
  return it == history.end() ? nullptr : &*it;
}

absl::Status CheckRequestId(const std::string& request_id) {
  if (request_id.empty() || request_id.size() > 256)
    return absl::InvalidArgumentError(
        absl::StrCat("request_id: must have 1 to 256 characters, not ", request_id.size()));
  return absl::OkStatus();
}

void WaitUntilServed(NodeRegistry* registry, std::stop_token stop) {
  Mailbox mailbox;
  const NodeRegistry::Subscription subscription(registry, [&] { mailbox.Wake(); });
  const std::stop_callback on_stop(stop, [&] { mailbox.Wake(); });
  const absl::Time deadline = absl::Now() + kSettle;
  while (registry->Untried() > 0 && absl::Now() < deadline && !stop.stop_requested())
    mailbox.RunUntil(deadline);
}

}  // namespace

absl::Status ChampionKeeper::Recover() {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  if (history.empty()) return absl::OkStatus();
  // Without its file users would silently get other weights than the history says.
  return Annotate(Serve(Current(history)), "the champion cannot be served again");
}

absl::StatusOr<PromotionEvent> ChampionKeeper::Promote(const PromotionOrder& order) {
  MELLOW_RETURN_IF_ERROR(CheckRequestId(order.request_id));
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  if (const PromotionEvent* known = FindRequest(history, order.request_id)) return *known;
  if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
  const std::optional<ChampionRecord> current = Current(history);
  MELLOW_ASSIGN_OR_RETURN(Candidate candidate, Resolve(order));
  absl::Status status = TryOnOneNode(candidate);
  if (status.ok()) {
    absl::StatusOr<std::string> folder =
        parts_.adapters->Write(kChampions, candidate.record.ref.version, candidate.files);
    status = folder.status();
    if (folder.ok()) candidate.record.folder = *std::move(folder);
  }
  PromotionEvent event{.request_id = order.request_id,
                       .time = absl::Now(),
                       .action = PromotionAction::kPromote,
                       .champion = candidate.record,
                       .previous = RefOf(current),
                       .evidence = order.evidence};
  if (status.ok()) status = parts_.ledger->AddPromotion(&event);
  if (!status.ok()) {
    // The node that tried it may serve it by now.
    if (const absl::Status back = Serve(current); !back.ok())
      obs::Log(obs::Severity::kError, "the champion cannot be served again",
               {{"error", back.ToString()}});
    return status;
  }
  obs::Log(obs::Severity::kInfo, "champion promoted",
           {{"adapter", candidate.record.ref.version},
            {"sha256", candidate.record.ref.sha256},
            {"forced", order.evidence.forced},
            {"reason", order.evidence.reason}});
  MELLOW_RETURN_IF_ERROR(Serve(event.champion));
  WaitUntilServed(parts_.registry, shutdown_.get_token());
  return event;
}

absl::StatusOr<PromotionEvent> ChampionKeeper::RollBack(const std::string& request_id,
                                                        const std::string& reason) {
  MELLOW_RETURN_IF_ERROR(CheckRequestId(request_id));
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  if (const PromotionEvent* known = FindRequest(history, request_id)) return *known;
  if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
  std::vector<ChampionRecord> stack = ChampionStack(history);
  if (stack.empty())
    return absl::FailedPreconditionError("there is no champion: nothing to roll back");
  PromotionEvent event{.request_id = request_id,
                       .time = absl::Now(),
                       .action = PromotionAction::kRollBack,
                       .previous = stack.back().ref};
  event.evidence.reason = reason;
  stack.pop_back();
  if (!stack.empty()) event.champion = stack.back();
  // Read before it is recorded: a champion whose file is gone cannot be gone back to.
  if (event.champion)
    MELLOW_RETURN_IF_ERROR(parts_.adapters->Read(event.champion->folder).status());
  MELLOW_RETURN_IF_ERROR(parts_.ledger->AddPromotion(&event));
  obs::Log(obs::Severity::kInfo, "champion rolled back",
           {{"from", event.previous->version},
            {"to", event.champion ? event.champion->ref.version : 0},
            {"reason", reason}});
  MELLOW_RETURN_IF_ERROR(Serve(event.champion));
  WaitUntilServed(parts_.registry, shutdown_.get_token());
  return event;
}

absl::StatusOr<std::vector<PromotionEvent>> ChampionKeeper::History() const {
  return parts_.ledger->Promotions();
}

absl::StatusOr<ChampionKeeper::Candidate> ChampionKeeper::FindKept(const AdapterRef& adapter) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<AdapterRecord> kept, parts_.ledger->KeptAdapters());
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  std::map<int64_t, ChampionRecord> found;
  for (const PromotionEvent& event : history) {
    if (event.champion) found[event.champion->ref.version] = *event.champion;
  }
  for (const AdapterRecord& record : kept) {
    if (record.ref.version > 0)
      found[record.ref.version] = {record.ref, record.run_id, record.folder, record.canary};
  }
  const auto it = found.find(adapter.version);
  if (it == found.end()) {
    return absl::NotFoundError(
        absl::StrCat("adapter.version ", adapter.version, " is not kept (kept are ",
                     found.empty() ? "none"
                                   : absl::StrJoin(found, ", ",
                                                   [](std::string* out, const auto& entry) {
                                                     absl::StrAppend(out, entry.first);
                                                   }),
                     "); send its bytes instead"));
  }
  if (!adapter.sha256.empty() && adapter.sha256 != it->second.ref.sha256) {
    return absl::FailedPreconditionError(absl::StrCat("adapter.sha256 ", adapter.sha256,
                                                      ": version ", adapter.version, " has ",
                                                      it->second.ref.sha256));
  }
  Candidate candidate{.record = it->second};
  MELLOW_ASSIGN_OR_RETURN(candidate.files, parts_.adapters->Read(candidate.record.folder));
  return candidate;
}

absl::StatusOr<ChampionKeeper::Candidate> ChampionKeeper::Resolve(const PromotionOrder& order) {
  if (!order.files) {
    if (order.adapter.version < 1)
      return absl::InvalidArgumentError(
          absl::StrCat("adapter.version ", order.adapter.version,
                       ": must be at least 1 when no bytes follow (0 is the base model)"));
    return FindKept(order.adapter);
  }
  if (order.adapter.version != 0)
    return absl::InvalidArgumentError(
        absl::StrCat("adapter.version ", order.adapter.version,
                     ": must be 0 when bytes follow, the cluster gives it a version"));
  if (order.adapter.sha256.empty()) return absl::InvalidArgumentError("adapter.sha256: missing");
  Candidate candidate{.files = *order.files};
  // The same weights keep the version, the run and the canary they have here.
  MELLOW_ASSIGN_OR_RETURN(const std::vector<AdapterRecord> kept, parts_.ledger->KeptAdapters());
  for (const AdapterRecord& record : kept) {
    if (record.ref.version > 0 && record.ref.sha256 == order.adapter.sha256) {
      candidate.record = {record.ref, record.run_id, record.folder, record.canary};
      return candidate;
    }
  }
  MELLOW_ASSIGN_OR_RETURN(candidate.record.ref.version,
                          parts_.ledger->NewVersion(parts_.registry->LargestVersion()));
  candidate.record.ref.sha256 = order.adapter.sha256;
  return candidate;
}

absl::Status ChampionKeeper::TryOnOneNode(const Candidate& candidate) {
  absl::Status last = absl::UnavailableError(parts_.registry->WhyNoneReady(NodeRole::kPolicy));
  for (const NodeHandle& node : parts_.registry->Ready(NodeRole::kPolicy, absl::Now())) {
    const std::shared_ptr<PolicyClient> client = parts_.clients->Policy(node.node_id, node.address);
    last = DeliverChampion(
        client.get(),
        {candidate.record.ref, std::make_shared<const adapters::PeftFiles>(candidate.files),
         candidate.record.canary},
        shutdown_.get_token());
    if (last.ok()) return last;
    if (IsRefusal(last))
      return absl::Status(
          absl::IsFailedPrecondition(last) ? absl::StatusCode::kInvalidArgument : last.code(),
          last.message());
  }
  return Annotate(last, "a policy node must try the adapter first");
}

absl::Status ChampionKeeper::Serve(const std::optional<ChampionRecord>& champion) {
  if (!champion) {
    parts_.supervisor->SetChampion({});
    parts_.metrics->SetChampion(std::nullopt);
    return absl::OkStatus();
  }
  MELLOW_ASSIGN_OR_RETURN(adapters::PeftFiles files, parts_.adapters->Read(champion->folder));
  parts_.supervisor->SetChampion({champion->ref,
                                  std::make_shared<const adapters::PeftFiles>(std::move(files)),
                                  champion->canary});
  parts_.metrics->SetChampion(champion->ref);
  return absl::OkStatus();
}

}  // namespace mellow::orchestrator
