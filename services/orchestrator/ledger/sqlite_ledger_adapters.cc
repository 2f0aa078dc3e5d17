// The adapters of all runs in the ledger.

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"

namespace mellow::orchestrator {
namespace {

absl::StatusOr<std::optional<AdapterRecord>> ReadAdapter(sqlite::Statement* statement) {
  MELLOW_ASSIGN_OR_RETURN(const bool row, statement->Step());
  if (!row) return std::optional<AdapterRecord>();
  AdapterRecord record;
  record.ref = {statement->Int(0), statement->Bytes(1)};
  record.run_id = statement->Bytes(2);
  record.folder = statement->Bytes(3);
  MELLOW_ASSIGN_OR_RETURN(record.canary, DecodeCanary(statement->Bytes(4)));
  return std::optional<AdapterRecord>(std::move(record));
}

}  // namespace

absl::Status SqliteLedger::RecordAdapter(const AdapterRecord& adapter) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement insert,
      database_->Prepare("INSERT OR REPLACE INTO adapters VALUES (?, ?, ?, ?, ?)"));
  insert.Bind(1, adapter.ref.version)
      .BindText(2, adapter.ref.sha256)
      .BindText(3, adapter.run_id)
      .BindText(4, adapter.folder)
      .BindText(5, EncodeCanary(adapter.canary));
  return insert.Run();
}

absl::StatusOr<std::optional<AdapterRecord>> SqliteLedger::NewestAdapter() {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare("SELECT version, sha256, run_id, folder, canary FROM adapters "
                         "WHERE version > 0 ORDER BY version DESC LIMIT 1"));
  return ReadAdapter(&select);
}

absl::StatusOr<std::optional<AdapterRecord>> SqliteLedger::NewestAdapterOf(
    const std::string& run_id) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare("SELECT version, sha256, run_id, folder, canary FROM adapters "
                         "WHERE run_id = ? ORDER BY version DESC LIMIT 1"));
  select.BindText(1, run_id);
  return ReadAdapter(&select);
}

absl::StatusOr<std::optional<AdapterRecord>> SqliteLedger::FindAdapter(int64_t version) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare("SELECT version, sha256, run_id, folder, canary FROM adapters "
                         "WHERE version = ? AND version > 0"));
  select.Bind(1, version);
  return ReadAdapter(&select);
}

absl::StatusOr<std::vector<KeptAdapter>> SqliteLedger::KeptAdapters() {
  std::vector<KeptAdapter> kept;
  std::vector<std::string> records;  // of their steps; empty: there is none
  {
    MutexLock lock(&mutex_);
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement select,
        database_->Prepare(
            "SELECT adapters.version, adapters.sha256, adapters.run_id, folder, step, record "
            "FROM adapters JOIN runs ON runs.run_id = adapters.run_id "
            "LEFT JOIN steps ON steps.run_id = adapters.run_id AND committed = 1 AND "
            "steps.sha256 = adapters.sha256 "
            "WHERE adapters.version > 0 AND (step IS NOT NULL OR adapters.sha256 = start_sha256 OR "
            "EXISTS (SELECT 1 FROM guard_trips WHERE guard_trips.run_id = adapters.run_id AND "
            "good_step = 0 AND guard_trips.sha256 = adapters.sha256)) "
            "ORDER BY adapters.version DESC, adapters.run_id, step DESC"));
    std::set<std::pair<std::string, int>> steps;
    for (;;) {
      MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) break;
      KeptAdapter adapter{.ref = {select.Int(0), select.Bytes(1)},
                          .run_id = select.Bytes(2),
                          .folder = select.Bytes(3),
                          .step = select.IsNull(4) ? 0 : static_cast<int>(select.Int(4))};
      if (!steps.emplace(adapter.run_id, adapter.step).second) continue;
      kept.push_back(std::move(adapter));
      records.push_back(select.IsNull(4) ? "" : select.Bytes(5));
    }
  }
  // A run that goes on does not wait while thousands of records are parsed.
  for (size_t i = 0; i < kept.size(); ++i) {
    if (records[i].empty()) continue;
    StepRecord step;
    MELLOW_RETURN_IF_ERROR(DecodeStep(records[i], &step));
    kept[i].learner_path = std::move(step.adapter_path);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

absl::StatusOr<std::set<std::string>> SqliteLedger::DropAdapters(const std::string& run_id,
                                                                 int keep) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  // A folder has one adapter, whatever the versions that it was published under.
  constexpr char kNewestFolders[] =
      "(SELECT folder FROM adapters WHERE run_id = ?1 GROUP BY folder "
      "ORDER BY MAX(version) DESC LIMIT ?2)";
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement prune,
        database_->Prepare(absl::StrCat("DELETE FROM adapters WHERE run_id = ?1 AND folder NOT IN ",
                                        kNewestFolders)));
    prune.BindText(1, run_id).Bind(2, int64_t{keep});
    MELLOW_RETURN_IF_ERROR(prune.Run());
  }
  std::set<std::string> folders;
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement select,
        database_->Prepare("SELECT DISTINCT folder FROM adapters WHERE run_id = ?"));
    select.BindText(1, run_id);
    for (;;) {
      MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) break;
      folders.insert(select.Bytes(0));
    }
  }
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return folders;
}

}  // namespace mellow::orchestrator
