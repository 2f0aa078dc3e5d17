#ifndef MELLOW_SERVICES_ORCHESTRATOR_LEDGER_LEDGER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_LEDGER_LEDGER_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/base/promotion.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

struct RunRecord {
  std::string run_id;
  std::string request_id;  // empty: none was given
  std::string spec;        // RunSpec, serialized; the ledger does not look inside
  RunState state = RunState::kRunning;
  std::string error;
  std::optional<AdapterRef> start;  // the weights before step 1; none: the run was not opened yet
  Method method = Method::kPpo;
  // A supervised run has the learner's SftRun, serialized; empty: the learner has not opened it
  // yet.
  std::string progress;
  // Unix times of this machine's clock, for people; 0: not known, or it has not ended.
  int64_t created_ms = 0;
  int64_t ended_ms = 0;
};

// The adapter that the policies were told to serve, with what proves that they do.
struct AdapterRecord {
  AdapterRef ref;
  std::string run_id;
  std::string folder;  // PEFT folder; empty for the base model
  CanarySuite canary;
};

// An adapter whose files are kept, and where it comes from.
struct KeptAdapter {
  AdapterRef ref;
  std::string run_id;
  std::string folder;        // PEFT folder
  int step = 0;              // that made it; 0: the run started from it, or went back to that
  std::string learner_path;  // PEFT folder as the learner sees it; empty: of step 0
};

inline constexpr int kAllSteps = std::numeric_limits<int>::max();
inline constexpr int kBeforeAllSteps = -1;  // the first step of a supervised run is step 0

struct PromptScore {
  uint64_t prompt_index = 0;
  Score score;
};

struct PromptReference {
  uint64_t prompt_index = 0;
  std::vector<float> logprobs;  // one per response id
};

// What survives a crash: every method is one transaction, which is on disk when it returns OK.
// Thread-safe.
class Ledger {
 public:
  virtual ~Ledger() = default;

  // The run that has this request_id already, or the new one as it was given.
  // FailedPrecondition: another run of its method is RUNNING (named).
  [[nodiscard]] virtual absl::StatusOr<RunRecord> CreateRun(const RunRecord& run) = 0;
  // Newest first.
  [[nodiscard]] virtual absl::StatusOr<std::vector<RunRecord>> ListRuns() = 0;
  // NotFound. An empty run_id is the newest run.
  [[nodiscard]] virtual absl::StatusOr<RunRecord> GetRun(const std::string& run_id) = 0;
  // To RUNNING: FailedPrecondition when another run of its method is RUNNING; else its trips go on.
  [[nodiscard]] virtual absl::Status SetRunState(const std::string& run_id, RunState state,
                                                 const std::string& error) = 0;
  [[nodiscard]] virtual absl::Status SetRunStart(const std::string& run_id,
                                                 const AdapterRef& start) = 0;
  // For a run whose method is not PPO.
  [[nodiscard]] virtual absl::Status SetProgress(const std::string& run_id,
                                                 const std::string& progress) = 0;

  // The models that the run depends on; empty: none are pinned yet.
  [[nodiscard]] virtual absl::StatusOr<RunPins> Pins(const std::string& run_id) = 0;
  [[nodiscard]] virtual absl::Status SetPins(const std::string& run_id, const RunPins& pins) = 0;

  // A version that was never given before, larger than all others and than `floor`.
  [[nodiscard]] virtual absl::StatusOr<int64_t> NewVersion(int64_t floor) = 0;
  // The version that the step's adapter gets: new at the first call, the same ever after.
  [[nodiscard]] virtual absl::StatusOr<int64_t> StepVersion(const std::string& run_id, int step,
                                                            int64_t floor) = 0;

  // Keeps the first delivery of each (run, step, prompt_index); returns how many were new.
  [[nodiscard]] virtual absl::StatusOr<int> AddRollouts(const std::string& run_id, int step,
                                                        absl::Span<const Rollout> rollouts) = 0;
  [[nodiscard]] virtual absl::Status SetScores(const std::string& run_id, int step,
                                               absl::Span<const PromptScore> scores) = 0;
  // Log-probs of rollouts that are there under `reference`; replaces those that they have.
  [[nodiscard]] virtual absl::Status SetReference(const std::string& run_id, int step,
                                                  const AdapterRef& reference,
                                                  absl::Span<const PromptReference> prompts) = 0;
  // In prompt order.
  [[nodiscard]] virtual absl::StatusOr<std::vector<Rollout>> Rollouts(const std::string& run_id,
                                                                      int step) = 0;

  // Committing the same step again changes nothing. Rollouts of all but the last few steps are
  // dropped, and of a step with a trip those of later steps too: what sampled them is given up.
  [[nodiscard]] virtual absl::Status CommitStep(const std::string& run_id,
                                                const StepRecord& step) = 0;
  // Committed steps > `after`, in order, at most `limit` of them.
  [[nodiscard]] virtual absl::StatusOr<std::vector<StepRecord>> Steps(const std::string& run_id,
                                                                      int after, int limit) = 0;
  // The newest committed step, at a cost that does not grow with the run; none: nothing is
  // committed. Steps are committed in order from 1 on (a supervised run's from 0 on, when it has
  // dev pairs), so its number is how many there are.
  [[nodiscard]] virtual absl::StatusOr<std::optional<StepRecord>> LastStep(
      const std::string& run_id) = 0;

  // The steps that the guard found bad, in order, and what was learned of one since.
  [[nodiscard]] virtual absl::StatusOr<std::vector<GuardTrip>> Trips(const std::string& run_id) = 0;
  [[nodiscard]] virtual absl::Status SetTripGood(const std::string& run_id, int step,
                                                 const AdapterRef& good,
                                                 const std::string& path) = 0;

  // What was published. NewestAdapter: of all runs, the base model not counted.
  [[nodiscard]] virtual absl::Status RecordAdapter(const AdapterRecord& adapter) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::optional<AdapterRecord>> NewestAdapter() = 0;
  [[nodiscard]] virtual absl::StatusOr<std::optional<AdapterRecord>> NewestAdapterOf(
      const std::string& run_id) = 0;
  // Those of all runs, by version, without the base model; a step whose weights were published
  // under several versions is there under the newest of them.
  [[nodiscard]] virtual absl::StatusOr<std::vector<KeptAdapter>> KeptAdapters() = 0;
  // None: no such version is kept.
  [[nodiscard]] virtual absl::StatusOr<std::optional<AdapterRecord>> FindAdapter(
      int64_t version) = 0;
  // Forgets all but the run's `keep` newest, and returns the folders of those that stay.
  [[nodiscard]] virtual absl::StatusOr<std::set<std::string>> DropAdapters(
      const std::string& run_id, int keep) = 0;

  // Adds to the history of champions and sets event->sequence. AlreadyExists: its request_id is
  // there.
  [[nodiscard]] virtual absl::Status AddPromotion(PromotionEvent* event) = 0;
  // In order.
  [[nodiscard]] virtual absl::StatusOr<std::vector<PromotionEvent>> Promotions() = 0;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_LEDGER_LEDGER_H_
