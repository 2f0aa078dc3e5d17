#ifndef MELLOW_SERVICES_ORCHESTRATOR_LEDGER_SQLITE_LEDGER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_LEDGER_SQLITE_LEDGER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/sqlite/sqlite.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/ledger/ledger.h"

namespace mellow::orchestrator {

// The ledger in one SQLite file, in WAL mode with synchronous=FULL: a transaction that returned OK
// is on disk. AddRollouts and SetScores survive the end of the process, and a power cut as soon as
// anything else was written.
class SqliteLedger : public Ledger {
 public:
  // Creates the file when it is not there, and makes one of an earlier version one of this one,
  // which that does not open anymore. DataLoss: corrupt, with SQLite's finding. FailedPrecondition:
  // written by a newer version. Unavailable: another process has it open.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteLedger>> Open(const std::string& path);

  absl::StatusOr<RunRecord> CreateRun(const RunRecord& run) override;
  absl::StatusOr<std::vector<RunRecord>> ListRuns() override;
  absl::StatusOr<RunRecord> GetRun(const std::string& run_id) override;
  absl::Status SetRunState(const std::string& run_id, RunState state,
                           const std::string& error) override;
  absl::Status SetRunStart(const std::string& run_id, const AdapterRef& start) override;
  absl::Status SetProgress(const std::string& run_id, const std::string& progress) override;
  absl::StatusOr<RunPins> Pins(const std::string& run_id) override;
  absl::Status SetPins(const std::string& run_id, const RunPins& pins) override;
  absl::StatusOr<int64_t> NewVersion(int64_t floor) override;
  absl::StatusOr<int64_t> StepVersion(const std::string& run_id, int step, int64_t floor) override;
  absl::StatusOr<int> AddRollouts(const std::string& run_id, int step,
                                  absl::Span<const Rollout> rollouts) override;
  absl::Status SetScores(const std::string& run_id, int step,
                         absl::Span<const PromptScore> scores) override;
  absl::Status SetReference(const std::string& run_id, int step, const AdapterRef& reference,
                            absl::Span<const PromptReference> prompts) override;
  absl::StatusOr<std::vector<Rollout>> Rollouts(const std::string& run_id, int step) override;
  absl::Status CommitStep(const std::string& run_id, const StepRecord& step) override;
  absl::StatusOr<std::vector<StepRecord>> Steps(const std::string& run_id, int after,
                                                int limit) override;
  absl::StatusOr<std::optional<StepRecord>> LastStep(const std::string& run_id) override;
  absl::StatusOr<std::vector<GuardTrip>> Trips(const std::string& run_id) override;
  absl::Status SetTripGood(const std::string& run_id, int step, const AdapterRef& good,
                           const std::string& path) override;
  absl::Status RecordAdapter(const AdapterRecord& adapter) override;
  absl::StatusOr<std::optional<AdapterRecord>> NewestAdapter() override;
  absl::StatusOr<std::optional<AdapterRecord>> NewestAdapterOf(const std::string& run_id) override;
  absl::StatusOr<std::vector<KeptAdapter>> KeptAdapters() override;
  absl::StatusOr<std::optional<AdapterRecord>> FindAdapter(int64_t version) override;
  absl::StatusOr<std::set<std::string>> DropAdapters(const std::string& run_id, int keep) override;
  absl::Status AddPromotion(PromotionEvent* event) override;
  absl::StatusOr<std::vector<PromotionEvent>> Promotions() override;

 private:
  explicit SqliteLedger(std::unique_ptr<sqlite::Database> database)
      : database_(std::move(database)) {}

  absl::StatusOr<int64_t> NextVersion(int64_t floor) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // FailedPrecondition when a run of the method other than `run_id` is RUNNING.
  absl::Status CheckNoneRunning(const std::string& run_id, Method method)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<RunRecord>> QueryRuns(absl::string_view where,
                                                   const std::string& parameter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those after step `after`.
  absl::StatusOr<std::vector<GuardTrip>> QueryTrips(const std::string& run_id, int after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `order`: ASC or DESC.
  absl::StatusOr<std::vector<StepRecord>> QuerySteps(const std::string& run_id, int after,
                                                     int limit, absl::string_view order);

  Mutex mutex_;
  std::unique_ptr<sqlite::Database> database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_LEDGER_SQLITE_LEDGER_H_
