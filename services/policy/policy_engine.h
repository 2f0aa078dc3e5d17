#ifndef MELLOW_SERVICES_POLICY_POLICY_ENGINE_H_
#define MELLOW_SERVICES_POLICY_POLICY_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/steady_time.h"
#include "common/nn/generation/sequence_decoder.h"
#include "common/nn/seq2seq_model.h"
#include "common/obs/metrics.h"
#include "common/sync/mutex.h"
#include "common/sync/places.h"
#include "common/sync/work_progress.h"
#include "services/policy/adapter_table.h"

namespace mellow::policy {

enum class Lane { kUser, kRollout };

struct EngineOptions {
  int max_rows = 64;
  int64_t max_batch_tokens = 32768;
  int queue_capacity = 512;  // each lane, and the requests to score
};

// Whoever asked may have gone: looked at before and during compute. `cancelled` may be empty; it is
// called from the engine's thread.
struct CallContext {
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  std::function<bool()> cancelled;
};

struct GenerateJob {
  std::vector<int32_t> source_ids;
  nn::SamplingParams params;  // valid
  nn::RandomStream stream;
  std::shared_ptr<const ServedAdapter> adapter;
  Lane lane = Lane::kUser;
  CallContext call;
  // After every step with what is new (greedy and sampling only), and once with the sequence, or
  // Cancelled, DeadlineExceeded, Unavailable, ResourceExhausted where memory ended, or the model's
  // error. From the engine's thread: they must neither block nor call the engine, and `done` must
  // not throw. `on_token` may be empty.
  std::function<void(const nn::GeneratedSequence& so_far)> on_token;
  std::function<void(absl::StatusOr<nn::GeneratedSequence>)> done;
  bool mask_padding = false;                                  // as GenerateItem's
  std::shared_ptr<const nn::ValueHead> value_head = nullptr;  // of the model's width
};

struct ScoreJob {
  struct Pair {
    std::vector<int32_t> source_ids;
    std::vector<int32_t> target_ids;
  };
  std::vector<Pair> pairs;
  std::shared_ptr<const ServedAdapter> adapter;
  CallContext call;
  // As GenerateJob's.
  std::function<void(absl::StatusOr<std::vector<std::vector<float>>>)> done;
};

// Continuous batching over one model: a loop in a thread of its own admits waiting sequences while
// the row and token budgets allow, runs the encoder for the new ones, steps all rows together, and
// lets each leave when it is done. Users come first: an eighth of both budgets is theirs alone, and
// while one of them waits for more, one rollout is admitted after every eight of them, so that
// their load cannot stop the runs. What is long to encode or to score is worked on in pieces, one
// such work at a time, with steps and admissions of what is short in between. Scores are computed
// in pieces between two steps, in turn. Because a row's numbers do not depend on its batch mates,
// neither does any result. Thread-safe.
class PolicyEngine {
 public:
  // `model` must outlive the engine. Metrics handles are made here (mellow_policy_*).
  PolicyEngine(nn::Seq2SeqModel* model, const EngineOptions& options, obs::Metrics* metrics);
  // Answers what waits or runs with Unavailable.
  ~PolicyEngine();
  PolicyEngine(const PolicyEngine&) = delete;
  PolicyEngine& operator=(const PolicyEngine&) = delete;

  using Places = mellow::Places<PolicyEngine, Lane>;
  // ResourceExhausted: the lane has no room for `count` more; Unavailable after Drain.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<Places>> Reserve(Lane lane, size_t count);

  // All jobs are taken or none (also where it throws), and then `done` is not called:
  // InvalidArgument when a job is larger than the whole budget; ResourceExhausted when the lane is
  // full; Unavailable after Drain. With `places` (of that lane, at least as many as jobs) there is
  // room.
  [[nodiscard]] absl::Status Submit(std::vector<GenerateJob> jobs, Places* places = nullptr);
  [[nodiscard]] absl::Status Submit(ScoreJob job);

  // Takes no more work; what was taken is finished.
  void Drain();

  // Generated tokens per second while rows were running, an exponential average; 0 before the
  // first.
  [[nodiscard]] double tokens_per_second() const { return tokens_per_second_.load(); }
  // WorkProgress::Stalled of the engine's thread.
  [[nodiscard]] absl::Duration Stalled() const { return progress_.Stalled(SteadyTime::Now()); }
  // From a measurement at start-up.
  void SeedSpeed(double tokens_per_second) { tokens_per_second_.store(tokens_per_second); }

 private:
  friend Places;
  void GiveBack(Lane lane, size_t count);

  struct Running {
    GenerateJob job;
    std::unique_ptr<nn::SequenceDecoder> decoder;
  };
  struct WaitingScore {
    ScoreJob job;
    std::vector<std::vector<float>> logprobs;  // of the first pairs
  };

  void Loop();
  absl::Status CheckRoom(Lane lane, size_t count) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One round: admits, scores a piece, steps. What throws in it is the error of the requests that
  // it worked on; all others are where they were. Also called between the pieces of a long work
  // (in_pieces_), and then leaves alone what is long.
  void Turn();
  // Moves what fits from the queues to admitted_; drops what nobody waits for.
  void Admit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Start();
  // Encodes the jobs and moves them to running_; empties the list.
  void Encode(std::list<GenerateJob>* jobs, const nn::Seq2SeqModel::Between& between);
  void StepAll();
  // The next one, or nothing.
  std::list<WaitingScore> NextScore() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Scores the next few pairs of it, which is answered then or goes back.
  void ScorePiece(std::list<WaitingScore> scoring);
  // Calls work(between), which calls `between` after every piece; between(): lets the others have a
  // turn, and says why the work is not to go on: Unavailable, or what `gone` returns.
  template <typename Work>
  void WorkInPieces(const Work& work, const std::function<absl::Status()>& gone);
  // Answers and removes what nobody waits for anymore, wherever it stands. `job_of`: the job of an
  // entry.
  template <typename Entries, typename JobOf>
  void DropGone(Entries* entries, const JobOf& job_of);

  nn::Seq2SeqModel* const model_;
  const EngineOptions options_;
  obs::Gauge queue_depth_[2];
  obs::Counter tokens_total_[2];
  obs::Gauge running_rows_;
  obs::Histogram batch_rows_;
  obs::Counter dropped_;
  std::atomic<double> tokens_per_second_{0};
  WorkProgress progress_;

  Mutex mutex_;
  CondVar work_;
  // Lists, because what stands in them goes from one to the other without memory, so that nothing
  // is lost where that ends.
  std::list<GenerateJob> lanes_[2] ABSL_GUARDED_BY(mutex_);
  size_t reserved_[2] ABSL_GUARDED_BY(mutex_) = {0, 0};
  std::list<WaitingScore> scores_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  // Only the loop's thread touches these:
  std::list<GenerateJob> admitted_;  // not started yet
  std::list<GenerateJob> encoding_;  // in pieces
  std::list<Running> running_;
  bool in_pieces_ = false;       // a long work is not done
  int users_since_rollout_ = 0;  // admitted while a rollout waited
  std::vector<float> logits_;
  std::jthread thread_;  // last: joined first
};

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_POLICY_ENGINE_H_
