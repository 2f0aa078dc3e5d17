// The history of champions in the ledger.

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"

namespace mellow::orchestrator {

absl::Status SqliteLedger::AddPromotion(PromotionEvent* event) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement insert,
      database_->Prepare("INSERT INTO promotions (request_id, time_ms, action, version, sha256, "
                         "run_id, folder, canary, previous_version, previous_sha256, evidence) "
                         "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                         "ON CONFLICT (request_id) DO NOTHING RETURNING sequence"));
  insert.BindText(1, event->request_id)
      .Bind(2, absl::ToUnixMillis(event->time))
      .Bind(3, static_cast<int64_t>(event->action))
      .BindText(11, EncodeEvidence(event->evidence));
  // What is not bound is NULL.
  if (event->champion) {
    insert.Bind(4, event->champion->ref.version)
        .BindText(5, event->champion->ref.sha256)
        .BindText(6, event->champion->run_id)
        .BindText(7, event->champion->folder)
        .BindText(8, EncodeCanary(event->champion->canary));
  }
  if (event->previous)
    insert.Bind(9, event->previous->version).BindText(10, event->previous->sha256);
  MELLOW_ASSIGN_OR_RETURN(const bool added, insert.Step());
  if (!added)
    return absl::AlreadyExistsError(
        absl::StrCat("request_id ", event->request_id, " is in the history already"));
  event->sequence = insert.Int(0);
  // A statement that returns rows has committed when it is done.
  return insert.Run();
}

absl::StatusOr<std::vector<PromotionEvent>> SqliteLedger::Promotions() {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare("SELECT sequence, request_id, time_ms, action, version, sha256, run_id, "
                         "folder, canary, previous_version, previous_sha256, evidence "
                         "FROM promotions ORDER BY sequence"));
  std::vector<PromotionEvent> events;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return events;
    PromotionEvent event{.sequence = select.Int(0),
                         .request_id = select.Bytes(1),
                         .time = absl::FromUnixMillis(select.Int(2)),
                         .action = static_cast<PromotionAction>(select.Int(3))};
    if (!select.IsNull(4)) {
      event.champion = ChampionRecord{.ref = {select.Int(4), select.Bytes(5)},
                                      .run_id = select.Bytes(6),
                                      .folder = select.Bytes(7)};
      MELLOW_ASSIGN_OR_RETURN(event.champion->canary, DecodeCanary(select.Bytes(8)));
    }
    if (!select.IsNull(9)) event.previous = AdapterRef{select.Int(9), select.Bytes(10)};
    MELLOW_ASSIGN_OR_RETURN(event.evidence, DecodeEvidence(select.Bytes(11)));
    events.push_back(std::move(event));
  }
}

}  // namespace mellow::orchestrator
