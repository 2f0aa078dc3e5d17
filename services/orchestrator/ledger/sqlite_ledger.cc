#include "services/orchestrator/ledger/sqlite_ledger.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"

namespace mellow::orchestrator {
namespace {

constexpr int64_t kSchemaVersion = 1;
// Rollouts of the last steps are kept for a learner whose newest checkpoints are damaged, as many
// as it keeps checkpoints by default, and for people to look at.
constexpr int kKeptSteps = 3;

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
    if (!row || version.Int(0) != kSchemaVersion) {
      return AnotherSchema(path, absl::StrCat("schema ", row ? version.Int(0) : 0,
                                              ", this program knows ", kSchemaVersion));
    }
  }
  for (const char* columns : kColumns) {
    const absl::Status known = database->Prepare(columns).status();
    if (!known.ok()) return AnotherSchema(path, known.message());
  }
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

absl::StatusOr<int64_t> SqliteLedger::StepVersion(const std::string& run_id, int step,
                                                  int64_t floor) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement select,
        database_->Prepare("SELECT version FROM steps WHERE run_id = ? AND step = ?"));
    select.BindText(1, run_id).Bind(2, int64_t{step});
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (row) return select.Int(0);
  }
  MELLOW_ASSIGN_OR_RETURN(const int64_t version, NextVersion(floor));
  {
    MELLOW_ASSIGN_OR_RETURN(sqlite::Statement insert,
                            database_->Prepare("INSERT INTO steps VALUES (?, ?, ?, 0, '', '')"));
    insert.BindText(1, run_id).Bind(2, int64_t{step}).Bind(3, version);
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  MELLOW_RETURN_IF_ERROR(transaction.Commit());
  return version;
}

absl::Status SqliteLedger::CommitStep(const std::string& run_id, const StepRecord& step) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                          sqlite::Transaction::Begin(database_.get()));
  {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        database_->Prepare("INSERT INTO steps VALUES (?, ?, ?, 1, ?, ?) "
                           "ON CONFLICT (run_id, step) DO UPDATE SET committed = 1, "
                           "sha256 = excluded.sha256, record = excluded.record "
                           "WHERE committed = 0"));
    insert.BindText(1, run_id)
        .Bind(2, int64_t{step.step})
        .Bind(3, step.adapter.version)
        .BindText(4, step.adapter.sha256)
        .BindText(5, EncodeStep(step));
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  for (const char* table : {"rollouts", "rollout_numbers"}) {
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement prune,
        database_->Prepare(absl::StrCat("DELETE FROM ", table, " WHERE run_id = ? AND step <= ?")));
    prune.BindText(1, run_id).Bind(2, int64_t{step.step - kKeptSteps});
    MELLOW_RETURN_IF_ERROR(prune.Run());
    if (!step.trip) continue;
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement later,
        database_->Prepare(absl::StrCat("DELETE FROM ", table, " WHERE run_id = ? AND step > ?")));
    later.BindText(1, run_id).Bind(2, int64_t{step.step});
    MELLOW_RETURN_IF_ERROR(later.Run());
  }
  if (step.trip) {
    const GuardTrip& trip = *step.trip;
    MELLOW_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        database_->Prepare("INSERT OR IGNORE INTO guard_trips VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    insert.BindText(1, run_id)
        .Bind(2, int64_t{trip.step})
        .Bind(3, int64_t{trip.good_step})
        .Bind(4, trip.good.version)
        .BindText(5, trip.good.sha256)
        .BindText(6, trip.good_path)
        .BindText(7, EncodeFinding(trip))
        .Bind(8, int64_t{trip.goes_on});
    MELLOW_RETURN_IF_ERROR(insert.Run());
  }
  return transaction.Commit();
}

absl::StatusOr<std::vector<StepRecord>> SqliteLedger::QuerySteps(const std::string& run_id,
                                                                 int after, int limit,
                                                                 absl::string_view order) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<GuardTrip> trips, QueryTrips(run_id, after));
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare(
          absl::StrCat("SELECT step, version, sha256, record FROM steps WHERE run_id = ? AND "
                       "committed = 1 AND step > ? ORDER BY step ",
                       order, " LIMIT ?")));
  select.BindText(1, run_id).Bind(2, int64_t{after}).Bind(3, int64_t{limit});
  std::vector<StepRecord> steps;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return steps;
    StepRecord step;
    step.step = static_cast<int>(select.Int(0));
    step.adapter = {select.Int(1), select.Bytes(2)};
    MELLOW_RETURN_IF_ERROR(DecodeStep(select.Bytes(3), &step));
    const auto trip = std::find_if(trips.begin(), trips.end(),
                                   [&](const GuardTrip& each) { return each.step == step.step; });
    if (trip != trips.end()) step.trip = *trip;
    steps.push_back(std::move(step));
  }
}

absl::StatusOr<std::vector<GuardTrip>> SqliteLedger::QueryTrips(const std::string& run_id,
                                                                int after) {
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement select,
      database_->Prepare("SELECT step, good_step, version, sha256, path, finding, goes_on FROM "
                         "guard_trips WHERE run_id = ? AND step > ? ORDER BY step"));
  select.BindText(1, run_id).Bind(2, int64_t{after});
  std::vector<GuardTrip> trips;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return trips;
    GuardTrip trip{.step = static_cast<int>(select.Int(0)),
                   .good_step = static_cast<int>(select.Int(1)),
                   .good = {select.Int(2), select.Bytes(3)},
                   .good_path = select.Bytes(4),
                   .goes_on = select.Int(6) != 0};
    MELLOW_RETURN_IF_ERROR(DecodeFinding(select.Bytes(5), &trip));
    trips.push_back(std::move(trip));
  }
}

absl::StatusOr<std::vector<GuardTrip>> SqliteLedger::Trips(const std::string& run_id) {
  MutexLock lock(&mutex_);
  return QueryTrips(run_id, 0);
}

absl::Status SqliteLedger::SetTripGood(const std::string& run_id, int step, const AdapterRef& good,
                                       const std::string& path) {
  MutexLock lock(&mutex_);
  MELLOW_ASSIGN_OR_RETURN(
      sqlite::Statement update,
      database_->Prepare("UPDATE guard_trips SET version = ?, sha256 = ?, path = ? "
                         "WHERE run_id = ? AND step = ?"));
  update.Bind(1, good.version)
      .BindText(2, good.sha256)
      .BindText(3, path)
      .BindText(4, run_id)
      .Bind(5, int64_t{step});
  return update.Run();
}

absl::StatusOr<std::vector<StepRecord>> SqliteLedger::Steps(const std::string& run_id, int after,
                                                            int limit) {
  return QuerySteps(run_id, after, limit, "ASC");
}

absl::StatusOr<std::optional<StepRecord>> SqliteLedger::LastStep(const std::string& run_id) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<StepRecord> last,
                          QuerySteps(run_id, kBeforeAllSteps, 1, "DESC"));
  if (last.empty()) return std::optional<StepRecord>();
  return std::optional<StepRecord>(std::move(last.front()));
}

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
  std::vector<KeptAdapter> kept;
  std::set<std::pair<std::string, int>> steps;
  for (;;) {
    MELLOW_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    KeptAdapter adapter{.ref = {select.Int(0), select.Bytes(1)},
                        .run_id = select.Bytes(2),
                        .folder = select.Bytes(3)};
    if (!select.IsNull(4)) {
      StepRecord step;
      MELLOW_RETURN_IF_ERROR(DecodeStep(select.Bytes(5), &step));
      adapter.step = static_cast<int>(select.Int(4));
      adapter.learner_path = std::move(step.adapter_path);
    }
    if (steps.emplace(adapter.run_id, adapter.step).second) kept.push_back(std::move(adapter));
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
