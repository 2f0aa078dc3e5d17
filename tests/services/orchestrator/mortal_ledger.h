#ifndef MELLOW_TESTS_SERVICES_ORCHESTRATOR_MORTAL_LEDGER_H_
#define MELLOW_TESTS_SERVICES_ORCHESTRATOR_MORTAL_LEDGER_H_

#include <atomic>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/orchestrator/ledger/ledger.h"
#include "tests/services/orchestrator/kill_switch.h"

namespace mellow::orchestrator {

// A ledger whose every call goes through a kill switch, and whose disk can be full.
class MortalLedger : public Ledger {
 public:
  std::atomic<bool> full{false};  // writes are refused

  MortalLedger(Ledger* ledger, KillSwitch* kill) : ledger_(ledger), kill_(kill) {}

  absl::StatusOr<RunRecord> CreateRun(const RunRecord& run) override {
    return Write([&] { return ledger_->CreateRun(run); });
  }
  absl::StatusOr<std::vector<RunRecord>> ListRuns() override {
    return kill_->Through([&] { return ledger_->ListRuns(); });
  }
  absl::StatusOr<RunRecord> GetRun(const std::string& run_id) override {
    return kill_->Through([&] { return ledger_->GetRun(run_id); });
  }
  absl::Status SetRunState(const std::string& run_id, RunState state,
                           const std::string& error) override {
    return Write([&] { return ledger_->SetRunState(run_id, state, error); });
  }
  absl::Status SetRunStart(const std::string& run_id, const AdapterRef& start) override {
    return Write([&] { return ledger_->SetRunStart(run_id, start); });
  }
  absl::Status SetProgress(const std::string& run_id, const std::string& progress) override {
    return Write([&] { return ledger_->SetProgress(run_id, progress); });
  }
  absl::StatusOr<RunPins> Pins(const std::string& run_id) override {
    return kill_->Through([&] { return ledger_->Pins(run_id); });
  }
  absl::Status SetPins(const std::string& run_id, const RunPins& pins) override {
    return Write([&] { return ledger_->SetPins(run_id, pins); });
  }
  absl::StatusOr<int64_t> NewVersion(int64_t floor) override {
    return Write([&] { return ledger_->NewVersion(floor); });
  }
  absl::StatusOr<int64_t> StepVersion(const std::string& run_id, int step, int64_t floor) override {
    return Write([&] { return ledger_->StepVersion(run_id, step, floor); });
  }
  absl::StatusOr<int> AddRollouts(const std::string& run_id, int step,
                                  absl::Span<const Rollout> rollouts) override {
    return Write([&] { return ledger_->AddRollouts(run_id, step, rollouts); });
  }
  absl::Status SetScores(const std::string& run_id, int step,
                         absl::Span<const PromptScore> scores) override {
    return Write([&] { return ledger_->SetScores(run_id, step, scores); });
  }
  absl::Status SetReference(const std::string& run_id, int step, const AdapterRef& reference,
                            absl::Span<const PromptReference> prompts) override {
    return Write([&] { return ledger_->SetReference(run_id, step, reference, prompts); });
  }
  absl::StatusOr<std::vector<Rollout>> Rollouts(const std::string& run_id, int step) override {
    return kill_->Through([&] { return ledger_->Rollouts(run_id, step); });
  }
  absl::Status CommitStep(const std::string& run_id, const StepRecord& step) override {
    return Write([&] { return ledger_->CommitStep(run_id, step); });
  }
  absl::StatusOr<std::vector<StepRecord>> Steps(const std::string& run_id, int after,
                                                int limit) override {
    return kill_->Through([&] { return ledger_->Steps(run_id, after, limit); });
  }
  absl::StatusOr<std::optional<StepRecord>> LastStep(const std::string& run_id) override {
    return kill_->Through([&] { return ledger_->LastStep(run_id); });
  }
  absl::StatusOr<std::vector<GuardTrip>> Trips(const std::string& run_id) override {
    return kill_->Through([&] { return ledger_->Trips(run_id); });
  }
  absl::Status SetTripGood(const std::string& run_id, int step, const AdapterRef& good,
                           const std::string& path) override {
    return Write([&] { return ledger_->SetTripGood(run_id, step, good, path); });
  }
  absl::Status RecordAdapter(const AdapterRecord& adapter) override {
    return Write([&] { return ledger_->RecordAdapter(adapter); });
  }
  absl::StatusOr<std::optional<AdapterRecord>> NewestAdapter() override {
    return kill_->Through([&] { return ledger_->NewestAdapter(); });
  }
  absl::StatusOr<std::optional<AdapterRecord>> NewestAdapterOf(const std::string& run_id) override {
    return kill_->Through([&] { return ledger_->NewestAdapterOf(run_id); });
  }
  absl::StatusOr<std::vector<KeptAdapter>> KeptAdapters() override {
    return kill_->Through([&] { return ledger_->KeptAdapters(); });
  }
  absl::StatusOr<std::optional<AdapterRecord>> FindAdapter(int64_t version) override {
    return kill_->Through([&] { return ledger_->FindAdapter(version); });
  }
  absl::StatusOr<std::set<std::string>> DropAdapters(const std::string& run_id, int keep) override {
    return Write([&] { return ledger_->DropAdapters(run_id, keep); });
  }
  absl::Status AddPromotion(PromotionEvent* event) override {
    return Write([&] { return ledger_->AddPromotion(event); });
  }
  absl::StatusOr<std::vector<PromotionEvent>> Promotions() override {
    return kill_->Through([&] { return ledger_->Promotions(); });
  }

 private:
  template <typename Call>
  auto Write(const Call& call) -> decltype(call()) {
    if (full) return absl::ResourceExhaustedError("ledger.db: the disk is full");
    return kill_->Through(call);
  }

  Ledger* ledger_;
  KillSwitch* kill_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_TESTS_SERVICES_ORCHESTRATOR_MORTAL_LEDGER_H_
