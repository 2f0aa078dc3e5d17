// The steps of a run in the ledger.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"

namespace mellow::orchestrator {
namespace {

// Rollouts of the last steps are kept for a learner whose newest checkpoints are damaged, as many
// as it keeps checkpoints by default, and for people to look at.
constexpr int kKeptSteps = 3;

}  // namespace

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

}  // namespace mellow::orchestrator
