#include "services/orchestrator/run/champion_keeper.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/nodes/wait_on_registry.h"

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

// The card of the run that trained the adapter, if it has one, with what the evaluation said.
std::string CardOf(const ChampionRecord& champion, const adapters::PeftFiles& files,
                   const PromotionEvidence& evidence) {
  adapters::CardEvaluation evaluation{.name = evidence.evaluation_name,
                                      .sha256 = evidence.evaluation_sha256};
  for (const PromotionGate& gate : evidence.gates)
    evaluation.figures.push_back({gate.name, gate.detail, gate.passed});
  if (evidence.forced) evaluation.remark = "promoted although a gate failed";
  return adapters::WithEvaluation(
      files.model_card.empty()
          ? adapters::SerializeModelCard({.adapter_sha256 = champion.ref.sha256}, files.config_json,
                                         files.safetensors)
          : files.model_card,
      evaluation);
}

// Nodes are unverified for a moment after every step of a run: waits until one may work.
std::vector<NodeHandle> WaitForPolicies(NodeRegistry* registry, std::stop_token stop) {
  std::vector<NodeHandle> ready;
  WaitOnRegistry(registry, std::move(stop), SteadyTime::Now() + kSettle, [&] {
    ready = registry->Ready(NodeRole::kPolicy, SteadyTime::Now());
    return !ready.empty() || registry->Untried() == 0;
  });
  return ready;
}

// "1 to 50, 60".
std::string Ranges(const std::map<int64_t, ChampionRecord>& known) {
  std::string text;
  for (auto it = known.begin(); it != known.end();) {
    const int64_t first = it->first;
    int64_t last = first;
    while (++it != known.end() && it->first == last + 1) last = it->first;
    absl::StrAppend(&text, text.empty() ? "" : ", ", first);
    if (last > first) absl::StrAppend(&text, last > first + 1 ? " to " : ", ", last);
  }
  return text;
}

}  // namespace

absl::Status ChampionKeeper::Recover() {
  MutexLock lock(&mutex_);
  const absl::Status newest = ServeNewest();
  if (newest.ok()) return newest;
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  std::vector<ChampionRecord> stack = ChampionStack(history);
  if (stack.empty()) return newest;
  // A cluster that does not start serves nobody, and could not be rolled back.
  const AdapterRef recorded = stack.back().ref;
  std::optional<ChampionRecord> served;
  do {
    stack.pop_back();
    served = stack.empty() ? std::nullopt : std::optional<ChampionRecord>(stack.back());
  } while (!Serve(served).ok());
  trouble_ =
      absl::StrCat("the champion, adapter ", ToString(recorded),
                   ", cannot be served: ", newest.message(), "; users get ",
                   served && !served->IsBase() ? absl::StrCat("adapter ", ToString(served->ref))
                                               : "the base model",
                   " until it is promoted again, another one is, or it is rolled back");
  obs::Log(obs::Severity::kError, trouble_);
  return absl::OkStatus();
}

std::string ChampionKeeper::Trouble() {
  MutexLock lock(&mutex_);
  return trouble_;
}

absl::StatusOr<PromotionEvent> ChampionKeeper::Again(const PromotionEvent& known) {
  if (unserved_) MELLOW_RETURN_IF_ERROR(ServeNewest());
  return known;
}

absl::Status ChampionKeeper::ServeNewest() {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  unserved_ = true;
  MELLOW_RETURN_IF_ERROR(Serve(Current(history)));
  unserved_ = false;
  trouble_.clear();
  std::set<std::string> needed;
  for (const ChampionRecord& record : ChampionStack(history)) needed.insert(record.folder);
  parts_.adapters->RemoveOthers(kChampions, needed);
  return absl::OkStatus();
}

absl::StatusOr<PromotionEvent> ChampionKeeper::Promote(const PromotionOrder& order) {
  MELLOW_RETURN_IF_ERROR(CheckRequestId(order.request_id));
  if (order.base && (order.files || !(order.adapter == AdapterRef())))
    return absl::InvalidArgumentError("base: the base model, or an adapter, not both");
  MELLOW_ASSIGN_OR_RETURN(PromotionEvent event, RecordPromotion(order));
  return WhenServed(std::move(event));
}

absl::Status ChampionKeeper::CheckIsAnother(const PromotionOrder& order, const Candidate& candidate,
                                            const std::optional<ChampionRecord>& current) {
  // One that cannot be served anymore may be promoted again, from wherever it is whole.
  if (!trouble_.empty() ||
      !SameWeights(candidate.record.ref, current ? current->ref : AdapterRef()))
    return absl::OkStatus();
  return absl::FailedPreconditionError(
      order.base ? "the base model is the champion already"
                 : absl::StrCat("adapter ", ToString(current->ref), " is the champion already"));
}

absl::StatusOr<PromotionEvent> ChampionKeeper::RecordPromotion(const PromotionOrder& order) {
  Candidate candidate;
  {
    MutexLock lock(&mutex_);
    MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
    if (const PromotionEvent* known = FindRequest(history, order.request_id)) return Again(*known);
    if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
    if (!order.base) {
      MELLOW_ASSIGN_OR_RETURN(candidate, Resolve(order));
    }
    MELLOW_RETURN_IF_ERROR(CheckIsAnother(order, candidate, Current(history)));
  }
  // Without the lock: a node that hangs for minutes must not hold up a roll-back.
  if (!order.base) MELLOW_RETURN_IF_ERROR(TryOnOneNode(&candidate));
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  if (const PromotionEvent* known = FindRequest(history, order.request_id)) return Again(*known);
  const std::optional<ChampionRecord> current = Current(history);
  MELLOW_RETURN_IF_ERROR(CheckIsAnother(order, candidate, current));
  if (!order.base) {
    adapters::PeftFiles files = *candidate.files;
    files.model_card = CardOf(candidate.record, files, order.evidence);
    MELLOW_ASSIGN_OR_RETURN(
        candidate.record.folder,
        parts_.adapters->Write(kChampions, candidate.record.ref.version, files));
  }
  PromotionEvent event{.request_id = order.request_id,
                       .time = absl::Now(),
                       .action = PromotionAction::kPromote,
                       .champion = candidate.record,
                       .previous = RefOf(current),
                       .evidence = order.evidence};
  unserved_ = true;
  MELLOW_RETURN_IF_ERROR(parts_.ledger->AddPromotion(&event));
  obs::Log(obs::Severity::kInfo, "champion promoted",
           {{"adapter", candidate.record.ref.version},
            {"sha256", candidate.record.ref.sha256},
            {"forced", order.evidence.forced},
            {"reason", order.evidence.reason}});
  MELLOW_RETURN_IF_ERROR(ServeNewest());
  return event;
}

absl::StatusOr<PromotionEvent> ChampionKeeper::RollBack(const std::string& request_id,
                                                        const std::string& reason) {
  MELLOW_RETURN_IF_ERROR(CheckRequestId(request_id));
  MELLOW_ASSIGN_OR_RETURN(PromotionEvent event, RecordRollBack(request_id, reason));
  return WhenServed(std::move(event));
}

absl::StatusOr<PromotionEvent> ChampionKeeper::RecordRollBack(const std::string& request_id,
                                                              const std::string& reason) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  if (const PromotionEvent* known = FindRequest(history, request_id)) return Again(*known);
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
  if (event.champion && !event.champion->IsBase())
    MELLOW_RETURN_IF_ERROR(Read(*event.champion).status());
  unserved_ = true;
  MELLOW_RETURN_IF_ERROR(parts_.ledger->AddPromotion(&event));
  obs::Log(obs::Severity::kInfo, "champion rolled back",
           {{"from", event.previous->version},
            {"to", event.champion ? event.champion->ref.version : 0},
            {"reason", reason}});
  MELLOW_RETURN_IF_ERROR(ServeNewest());
  return event;
}

absl::StatusOr<PromotionEvent> ChampionKeeper::WhenServed(PromotionEvent event) {
  WaitOnRegistry(parts_.registry, shutdown_.get_token(), SteadyTime::Now() + kSettle,
                 [&] { return parts_.registry->Untried() == 0; });
  const std::vector<std::string> missing = parts_.supervisor->WithoutChampion();
  if (missing.empty()) return event;
  return absl::UnavailableError(
      absl::StrCat("recorded, but not every node serves it yet: ", absl::StrJoin(missing, "; "),
                   "; it is given to them as soon as they take it"));
}

absl::StatusOr<std::vector<PromotionEvent>> ChampionKeeper::History() const {
  return parts_.ledger->Promotions();
}

absl::StatusOr<std::map<int64_t, ChampionRecord>> ChampionKeeper::Known(bool former) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<KeptAdapter> kept, parts_.ledger->KeptAdapters());
  MELLOW_ASSIGN_OR_RETURN(const std::vector<PromotionEvent> history, parts_.ledger->Promotions());
  std::map<int64_t, ChampionRecord> known;
  for (const PromotionEvent& event : history) {
    if (former && event.champion) known[event.champion->ref.version] = *event.champion;
  }
  for (const ChampionRecord& record : ChampionStack(history)) known[record.ref.version] = record;
  for (const KeptAdapter& adapter : kept)
    known[adapter.ref.version] = {adapter.ref, adapter.run_id, adapter.folder, {}};
  return known;
}

absl::StatusOr<ChampionKeeper::Candidate> ChampionKeeper::Resolve(const PromotionOrder& order) {
  const AdapterRef& wanted = order.adapter;
  if (order.files.has_value() != (wanted.version == 0))
    return absl::InvalidArgumentError(
        absl::StrCat("adapter.version ", wanted.version,
                     order.files ? ": must be 0 when bytes follow, the cluster gives it a version"
                                 : ": must be at least 1 when no bytes follow"));
  if (wanted.version < 0 || (order.files && wanted.sha256.empty()))
    return absl::InvalidArgumentError(
        absl::StrCat("adapter: version ", wanted.version, ", sha256 '", wanted.sha256, "'"));
  MELLOW_ASSIGN_OR_RETURN(const auto known, Known(order.files.has_value()));
  // The same weights keep the version, the run and the canary that they have here.
  const auto it = std::find_if(known.begin(), known.end(), [&](const auto& entry) {
    return order.files ? entry.second.ref.sha256 == wanted.sha256 : entry.first == wanted.version;
  });
  Candidate candidate;
  if (it != known.end()) {
    candidate.record = it->second;
    if (!wanted.sha256.empty() && wanted.sha256 != it->second.ref.sha256)
      return absl::FailedPreconditionError(absl::StrCat("adapter.sha256 ", wanted.sha256,
                                                        ": version ", wanted.version, " has ",
                                                        it->second.ref.sha256));
  } else if (!order.files) {
    return absl::NotFoundError(absl::StrCat("adapter.version ", wanted.version,
                                            ": there is no such version (kept are ",
                                            known.empty() ? "none" : Ranges(known), ")"));
  }
  MELLOW_ASSIGN_OR_RETURN(std::optional<AdapterRecord> kept,
                          parts_.ledger->FindAdapter(candidate.record.ref.version));
  if (kept) candidate.record.canary = std::move(kept->canary);
  adapters::PeftFiles files;
  if (order.files) {
    files = *order.files;
    MELLOW_RETURN_IF_ERROR(parts_.adapters->Check(files, wanted.sha256));
  } else {
    MELLOW_ASSIGN_OR_RETURN(files, Read(candidate.record));
  }
  candidate.files = std::make_shared<const adapters::PeftFiles>(std::move(files));
  if (it == known.end()) {
    MELLOW_ASSIGN_OR_RETURN(candidate.record.ref.version,
                            parts_.ledger->NewVersion(parts_.registry->LargestVersion()));
    candidate.record.ref.sha256 = wanted.sha256;
  }
  return candidate;
}

absl::StatusOr<CanarySuite> ChampionKeeper::MakeCanary(PolicyClient* client, int64_t version) {
  std::vector<Prompt> prompts;
  for (const std::string& text : CanaryTexts()) {
    MELLOW_ASSIGN_OR_RETURN(std::vector<int32_t> ids, parts_.tokenizer->Encode(text));
    prompts.push_back({.ids = std::move(ids)});
  }
  CanarySuite suite{.pairs = CanaryPairs(prompts), .bound = parts_.canary_bound};
  MELLOW_ASSIGN_OR_RETURN(PairScores scores,
                          client->ScoreTokens(suite.pairs, version, shutdown_.get_token()));
  for (const std::vector<float>& row : scores.logprobs) {
    for (const float logprob : row) {
      if (!std::isfinite(logprob))
        return absl::InvalidArgumentError("with this adapter log-probs are not finite");
    }
  }
  suite.expected = std::move(scores.logprobs);
  return suite;
}

absl::Status ChampionKeeper::Confirm(const AdapterTarget& candidate, const NodeHandle& first,
                                     const std::vector<NodeHandle>& nodes) {
  std::string others;
  for (const NodeHandle& node : nodes) {
    if (node.node_id == first.node_id) continue;
    bool wrong_weights = false;
    const absl::Status status =
        TryCandidate(parts_.clients->Policy(node.node_id, node.address).get(), candidate,
                     shutdown_.get_token(), &wrong_weights);
    if (status.ok()) return status;
    if (wrong_weights) absl::StrAppend(&others, others.empty() ? "" : ", ", node.node_id);
  }
  if (others.empty()) return absl::OkStatus();  // nobody else answered
  return absl::InvalidArgumentError(
      absl::StrCat("with this adapter ", first.node_id, " and ", others,
                   " have other log-probs: one of them has not the weights that it says"));
}

absl::Status ChampionKeeper::TryOnOneNode(Candidate* made) {
  const std::vector<NodeHandle> nodes = WaitForPolicies(parts_.registry, shutdown_.get_token());
  CanarySuite& canary = made->record.canary;
  AdapterTarget candidate{made->record.ref, made->files, canary};
  absl::Status last = absl::UnavailableError(parts_.registry->WhyNoneReady(NodeRole::kPolicy));
  bool wrong_weights = false;
  for (const NodeHandle& node : nodes) {
    const std::shared_ptr<PolicyClient> client = parts_.clients->Policy(node.node_id, node.address);
    last = TryCandidate(client.get(), candidate, shutdown_.get_token(), &wrong_weights);
    if (last.ok() && canary.pairs.empty()) {
      absl::StatusOr<CanarySuite> first = MakeCanary(client.get(), candidate.ref.version);
      last = first.status();
      if (first.ok()) {
        canary = candidate.canary = *std::move(first);
        return Confirm(candidate, node, nodes);
      }
    }
    if (last.ok()) return last;
    if (wrong_weights) parts_.metrics->CountCanaryFailure(node.node_id);
    if (IsRefusal(last))
      return absl::Status(
          absl::IsFailedPrecondition(last) ? absl::StatusCode::kInvalidArgument : last.code(),
          last.message());
  }
  return Annotate(last, "a policy node must try the adapter first");
}

absl::StatusOr<adapters::PeftFiles> ChampionKeeper::Read(const ChampionRecord& champion) const {
  absl::StatusOr<adapters::PeftFiles> own =
      parts_.adapters->Read(champion.folder, champion.ref.sha256);
  if (own.ok()) return own;
  MELLOW_ASSIGN_OR_RETURN(const std::optional<AdapterRecord> kept,
                          parts_.ledger->FindAdapter(champion.ref.version));
  if (!kept || kept->folder == champion.folder) return own;
  absl::StatusOr<adapters::PeftFiles> of_run =
      parts_.adapters->Read(kept->folder, champion.ref.sha256);
  return of_run.ok() ? of_run : own;
}

absl::Status ChampionKeeper::Serve(const std::optional<ChampionRecord>& champion) {
  if (!champion || champion->IsBase()) {
    parts_.supervisor->SetChampion({});
    parts_.metrics->SetChampion(std::nullopt);
    return absl::OkStatus();
  }
  MELLOW_ASSIGN_OR_RETURN(adapters::PeftFiles files, Read(*champion));
  parts_.supervisor->SetChampion({champion->ref,
                                  std::make_shared<const adapters::PeftFiles>(std::move(files)),
                                  champion->canary});
  parts_.metrics->SetChampion(champion->ref);
  return absl::OkStatus();
}

}  // namespace mellow::orchestrator
