#include "services/orchestrator/ledger/sqlite_ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"

namespace mellow::orchestrator {
namespace {

// 2: guard_trips came. A program that does not know them would go on from weights that were
// withdrawn. What a ledger of 1 has means the same here.
constexpr int64_t kSchemaVersion = 2;
constexpr int64_t kOldestSchemaVersion = 1;
// A run without a row in `methods` is PPO's, as all were once; a rollout without one in
// `rollout_numbers` has neither values nor log-probs under the reference.
constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  spec BLOB NOT NULL,
  state INTEGER NOT NULL,
  error TEXT NOT NULL,
  start_version INTEGER,
  start_sha256 TEXT);
CREATE TABLE IF NOT EXISTS steps (
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  version INTEGER NOT NULL,
  committed INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (run_id, step));
CREATE TABLE IF NOT EXISTS rollouts (
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  prompt_index INTEGER NOT NULL,
  query_ids BLOB NOT NULL,
  response_ids BLOB NOT NULL,
  logprobs BLOB NOT NULL,
  finished INTEGER NOT NULL,
  version INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  score REAL,
  toxicity REAL,
  PRIMARY KEY (run_id, step, prompt_index)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollout_numbers (
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  prompt_index INTEGER NOT NULL,
  token_values BLOB,
  value_head_sha256 TEXT,
  reference_logprobs BLOB,
  reference_version INTEGER,
  reference_sha256 TEXT,
  PRIMARY KEY (run_id, step, prompt_index)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS adapters (
  version INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  run_id TEXT NOT NULL,
  folder TEXT NOT NULL,
  canary TEXT NOT NULL,
  PRIMARY KEY (version, run_id));
CREATE TABLE IF NOT EXISTS methods (
  run_id TEXT PRIMARY KEY,
  method INTEGER NOT NULL,
  progress BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS run_times (
  run_id TEXT PRIMARY KEY,
  created_ms INTEGER NOT NULL,
  ended_ms INTEGER);
CREATE TABLE IF NOT EXISTS guard_trips (
  run_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  good_step INTEGER NOT NULL,
  version INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  path TEXT NOT NULL,
  finding TEXT NOT NULL,
  goes_on INTEGER NOT NULL,
  PRIMARY KEY (run_id, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pins (run_id TEXT PRIMARY KEY, models TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS promotions (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL UNIQUE,
  time_ms INTEGER NOT NULL,
  action INTEGER NOT NULL,
  version INTEGER,
  sha256 TEXT,
  run_id TEXT,
  folder TEXT,
  canary TEXT,
  previous_version INTEGER,
  previous_sha256 TEXT,
  evidence TEXT NOT NULL);
)";

// After the columns are known to be there. The adapters of all runs are looked up by their steps'
// hashes.
constexpr char kIndexes[] = "CREATE INDEX IF NOT EXISTS steps_by_sha256 ON steps (run_id, sha256)";

// Every column that is read or written: CREATE TABLE IF NOT EXISTS leaves a table of another
// version as it is.
constexpr const char* kColumns[] = {
    "SELECT sequence, run_id, request_id, spec, state, error, start_version, start_sha256 FROM "
    "runs",
    "SELECT run_id, step, version, committed, sha256, record FROM steps",
    "SELECT run_id, step, prompt_index, query_ids, response_ids, logprobs, finished, version, "
    "sha256, score, toxicity FROM rollouts",
    "SELECT run_id, step, prompt_index, token_values, value_head_sha256, reference_logprobs, "
    "reference_version, reference_sha256 FROM rollout_numbers",
    "SELECT version, sha256, run_id, folder, canary FROM adapters",
    "SELECT run_id, method, progress FROM methods",
    "SELECT run_id, created_ms, ended_ms FROM run_times",
    "SELECT run_id, step, good_step, version, sha256, path, finding, goes_on FROM guard_trips",
    "SELECT run_id, models FROM pins",
    "SELECT sequence, request_id, time_ms, action, version, sha256, run_id, folder, canary, "
    "previous_version, previous_sha256, evidence FROM promotions"};

// Milliseconds since 1970 by the clock of this machine; only people read them.
constexpr char kNow[] = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)";

absl::Status AnotherSchema(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": this ledger is of another version of Mellow (", what,
                   "); nothing in it was changed. Go on with the version that wrote it, or start "
                   "this one with another --data-dir: adapters and checkpoints stay where they are "
                   "and can be used from there (start_adapter, mellow promote)"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteLedger>> SqliteLedger::Open(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Database> database, sqlite::Database::Open(path));
  // Exclusive: a second orchestrator on the same folder would lease the same run twice.
  MELLOW_RETURN_IF_ERROR(database->Execute(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"));
  {
    MELLOW_ASSIGN_OR_RETURN(sqlite::Statement check,
                            database->Prepare("PRAGMA integrity_check(1)"));
    MELLOW_ASSIGN_OR_RETURN(const bool row, check.Step());
    const std::string verdict = row ? check.Bytes(0) : "no answer";
    if (verdict != "ok") {
      return absl::DataLossError(
          absl::StrCat(path, ": the ledger is corrupt (", verdict,
                       "); restore it from a backup, or start with another --data-dir"));
    }
  }
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database.get()));
  MELLOW_RETURN_IF_ERROR(database->Execute(kSchema));
  const absl::Status meta = database->Execute(
      absl::StrCat("INSERT OR IGNORE INTO meta (key, value) VALUES ('schema_version', ",
                   kSchemaVersion, "), ('last_version', 0)"));
  if (!meta.ok()) return AnotherSchema(path, meta.message());
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement version,
        database->Prepare("SELECT value FROM meta WHERE key = 'schema_version'"));
    MELLOW_ASSIGN_OR_RETURN(const bool row, version.Step());
    if (!row || version.Int(0) < kOldestSchemaVersion || version.Int(0) > kSchemaVersion) {
      return AnotherSchema(path, absl::StrCat("schema ", row ? version.Int(0) : 0,
                                              ", this program knows ", kSchemaVersion));
    }
  }
  for (const char* columns : kColumns) {
    const absl::Status known = database->Prepare(columns).status();
    if (!known.ok()) return AnotherSchema(path, known.message());
  }
  MELLOW_RETURN_IF_ERROR(database->Execute(kIndexes));
  MELLOW_RETURN_IF_ERROR(database->Execute(
      absl::StrCat("UPDATE meta SET value = ", kSchemaVersion, " WHERE key = 'schema_version'")));
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return std::unique_ptr<SqliteLedger>(new SqliteLedger(std::move(database)));
}

absl::StatusOr<std::vector<RunRecord>> SqliteLedger::QueryRuns(absl::string_view where,
                                                               const std::string& parameter) {
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare(absl::StrCat("SELECT runs.run_id, request_id, spec, state, error, "
                                      "start_version, start_sha256, method, progress, "
                                      "created_ms, ended_ms FROM runs "
                                      "LEFT JOIN methods ON methods.run_id = runs.run_id "
                                      "LEFT JOIN run_times ON run_times.run_id = runs.run_id ",
                                      where, " ORDER BY sequence DESC")));
  if (!where.empty()) select.BindText(1, parameter);
  std::vector<RunRecord> runs;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return runs;
    RunRecord run{.run_id = select.Bytes(0),
                  .request_id = select.Bytes(1),
                  .spec = select.Bytes(2),
                  .state = static_cast<RunState>(select.Int(3)),
                  .error = select.Bytes(4)};
    if (!select.IsNull(5)) run.start = AdapterRef{select.Int(5), select.Bytes(6)};
    if (!select.IsNull(7)) {
      run.method = static_cast<Method>(select.Int(7));
      run.progress = select.Bytes(8);
    }
    if (!select.IsNull(9)) run.created_ms = select.Int(9);
    if (!select.IsNull(10)) run.ended_ms = select.Int(10);
    runs.push_back(std::move(run));
  }
}

absl::Status SqliteLedger::CheckNoneRunning(const std::string& run_id, Method method) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<RunRecord> running,
                          QueryRuns("WHERE state = 1 AND runs.run_id <> ?", run_id));
  for (const RunRecord& run : running) {
    if (run.method == method)
      return absl::FailedPreconditionError(
          absl::StrCat("run ", run.run_id, " is running; stop it first"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RunRecord> SqliteLedger::CreateRun(const RunRecord& run) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  if (!run.request_id.empty()) {
    MELLOW_ASSIGN_OR_RETURN(std::vector<RunRecord> known,
                            QueryRuns("WHERE request_id = ?", run.request_id));
    if (!known.empty()) return std::move(known.front());
  }
  MELLOW_RETURN_IF_ERROR(CheckNoneRunning(run.run_id, run.method));
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        database_->Prepare(
            "INSERT INTO runs (run_id, request_id, spec, state, error) VALUES (?, ?, ?, ?, ?)"));
    insert.BindText(1, run.run_id).BindBlob(3, run.spec);
    if (run.request_id.empty()) {
      insert.BindNull(2);
    } else {
      insert.BindText(2, run.request_id);
    }
    insert.Bind(4, static_cast<int64_t>(run.state)).BindText(5, run.error);
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  if (run.method != Method::kPpo) {
    MELLOW_ASSIGN_OR_RETURN(sqlite::Statement insert,
                            database_->Prepare("INSERT INTO methods VALUES (?, ?, ?)"));
    insert.BindText(1, run.run_id)
        .Bind(2, static_cast<int64_t>(run.method))
        .BindBlob(3, run.progress);
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        database_->Prepare(absl::StrCat("INSERT INTO run_times VALUES (?, ", kNow, ", NULL)")));
    insert.BindText(1, run.run_id);
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return run;
}

absl::StatusOr<std::vector<RunRecord>> SqliteLedger::ListRuns() {
  MutexLock lock(&mutex_);
  return QueryRuns("", "");
}

absl::StatusOr<RunRecord> SqliteLedger::GetRun(const std::string& run_id) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      std::vector<RunRecord> runs,
      run_id.empty() ? QueryRuns("", "") : QueryRuns("WHERE runs.run_id = ?", run_id));
  if (runs.empty()) {
    return absl::NotFoundError(run_id.empty() ? "there is no run yet"
                                              : absl::StrCat("no run ", run_id));
  }
  return std::move(runs.front());
}

absl::Status SqliteLedger::SetRunState(const std::string& run_id, RunState state,
                                       const std::string& error) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<RunRecord> runs,
                          QueryRuns("WHERE runs.run_id = ?", run_id));
  if (runs.empty()) return absl::NotFoundError(absl::StrCat("no run ", run_id));
  if (state == RunState::kRunning)
    MELLOW_RETURN_IF_ERROR(CheckNoneRunning(run_id, runs.front().method));
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement update,
        database_->Prepare("UPDATE runs SET state = ?, error = ? WHERE run_id = ?"));
    update.Bind(1, static_cast<int64_t>(state)).BindText(2, error).BindText(3, run_id);
    MELLOW_RETURN_IF_ERROR(update.Run());
  }
  if (state == RunState::kRunning) {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement update,
        database_->Prepare("UPDATE guard_trips SET goes_on = 1 WHERE run_id = ?"));
    update.BindText(1, run_id);
    MELLOW_RETURN_IF_ERROR(update.Run());
  }
  {
    MELLOW_ASSIGN_OR_RETURN(sqlite::Statement update,
                            database_->Prepare(absl::StrCat(
                                "UPDATE run_times SET ended_ms = ",
                                state == RunState::kRunning ? "NULL" : kNow, " WHERE run_id = ?")));
    update.BindText(1, run_id);
    MELLOW_RETURN_IF_ERROR(update.Run());
  }
  return transaction.Commit();
}

absl::Status SqliteLedger::SetRunStart(const std::string& run_id, const AdapterRef& start) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement update,
      database_->Prepare("UPDATE runs SET start_version = ?, start_sha256 = ? WHERE run_id = ?"));
  update.Bind(1, start.version).BindText(2, start.sha256).BindText(3, run_id);
  return update.Run();
}

absl::Status SqliteLedger::SetProgress(const std::string& run_id, const std::string& progress) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Statement update,
                          database_->Prepare("UPDATE methods SET progress = ? WHERE run_id = ?"));
  update.BindBlob(1, progress).BindText(2, run_id);
  return update.Run();
}

absl::StatusOr<RunPins> SqliteLedger::Pins(const std::string& run_id) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Statement select,
                          database_->Prepare("SELECT models FROM pins WHERE run_id = ?"));
  select.BindText(1, run_id);
  MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
  if (!row) return RunPins();
  return DecodePins(select.Bytes(0));
}

absl::Status SqliteLedger::SetPins(const std::string& run_id, const RunPins& pins) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Statement insert,
                          database_->Prepare("INSERT OR REPLACE INTO pins VALUES (?, ?)"));
  insert.BindText(1, run_id).BindText(2, EncodePins(pins));
  return insert.Run();
}

absl::StatusOr<int64_t> SqliteLedger::NextVersion(int64_t floor) {
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement update,
      database_->Prepare("UPDATE meta SET value = MAX(value, ?) + 1 WHERE key = 'last_version' "
                         "RETURNING value"));
  update.Bind(1, floor);
  MELLOW_ASSIGN_OR_RETURN(const bool row, update.Step());
  if (!row) return absl::DataLossError("ledger: no last_version");
  return update.Int(0);
}

absl::StatusOr<int64_t> SqliteLedger::NewVersion(int64_t floor) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  MELLOW_ASSIGN_OR_RETURN(const int64_t version, NextVersion(floor));
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return version;
}

}  // namespace mellow::orchestrator
