#ifndef MELLOW_SERVICES_REWARD_REWARD_ENGINE_H_
#define MELLOW_SERVICES_REWARD_REWARD_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/steady_time.h"
#include "common/nn/sequence_classifier.h"
#include "common/obs/metrics.h"
#include "common/sync/places.h"
#include "common/sync/work_progress.h"
#include "services/reward/bounded_queue.h"

namespace mellow::reward {

struct EngineOptions {
  int64_t max_batch_tokens = 16384;
  int queue_capacity = 2048;  // each lane
  absl::Duration linger = absl::Milliseconds(2);
};

struct ScoreJob {
  std::vector<int32_t> ids;  // with <s> and </s>
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  std::function<bool()> cancelled;  // may be empty; called from the engine's thread
  // Once, from the engine's thread, with the raw logits, or Cancelled, DeadlineExceeded, or the
  // model's error, or that memory ended: must neither block nor call the engine nor throw.
  std::function<void(absl::StatusOr<std::vector<float>>)> done;
};

// Texts of both are taken in turns, so that neither waits for the other's queue.
enum class Lane { kUser, kRollout };

// Dynamic batching over one classifier: texts of different callers are classified together, cut
// into batches of similar length. One thread. Thread-safe.
class RewardEngine {
 public:
  // `model` must outlive the engine.
  RewardEngine(nn::SequenceClassifier* model, const EngineOptions& options, obs::Metrics* metrics);
  // Answers everything that was taken.
  ~RewardEngine();
  RewardEngine(const RewardEngine&) = delete;
  RewardEngine& operator=(const RewardEngine&) = delete;

  using Places = mellow::Places<RewardEngine, Lane>;
  // ResourceExhausted: the lane has no room for `count` more; Unavailable after Drain.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<Places>> Reserve(Lane lane, size_t count);

  // All or none, and then `done` is not called. As many jobs as `places` has. Unavailable after
  // Drain.
  [[nodiscard]] absl::Status Submit(std::vector<ScoreJob> jobs, Places* places);

  void Drain() { queue_.Close(); }

  // Classified tokens per second, an exponential average.
  [[nodiscard]] double tokens_per_second() const { return tokens_per_second_.load(); }
  // WorkProgress::Stalled of the engine's thread.
  [[nodiscard]] absl::Duration Stalled() const { return progress_.Stalled(SteadyTime::Now()); }
  void SeedSpeed(double tokens_per_second) { tokens_per_second_.store(tokens_per_second); }

 private:
  friend Places;
  void GiveBack(Lane lane, size_t count);

  void Loop();
  void SetDepths();
  // Answers all of `jobs`, unless it throws: then those that still have their `done` have no
  // answer.
  void ClassifyAll(std::list<ScoreJob>& jobs);
  void Classify(absl::Span<ScoreJob* const> batch);

  nn::SequenceClassifier* const model_;
  const EngineOptions options_;
  obs::Gauge queue_depth_[2];
  obs::Counter texts_total_;
  obs::Counter tokens_total_;
  obs::Counter dropped_;
  obs::Histogram batch_texts_;
  std::atomic<double> tokens_per_second_{0};
  WorkProgress progress_;
  BoundedQueue<ScoreJob> queue_;
  std::jthread thread_;  // last: joined first
};

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_REWARD_ENGINE_H_
