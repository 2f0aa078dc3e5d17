#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "services/orchestrator/ledger/ledger_codec.h"
#include "services/orchestrator/ledger/sqlite_ledger.h"

namespace mellow::orchestrator {

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

}  // namespace mellow::orchestrator
