#ifndef MELLOW_SERVICES_REWARD_REWARD_ENGINE_H_
#define MELLOW_SERVICES_REWARD_REWARD_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/batching/bounded_queue.h"
#include "common/nn/sequence_classifier.h"
#include "common/obs/metrics.h"

namespace mellow::reward {

struct EngineOptions {
  int64_t max_batch_tokens = 16384;
  int queue_capacity = 2048;
  absl::Duration linger = absl::Milliseconds(2);
};

struct ScoreJob {
  std::vector<int32_t> ids;  // with <s> and </s>
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  std::function<bool()> cancelled;  // may be empty; called from the engine's thread
};

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

  // All or none: ResourceExhausted when the queue has no room for them, Unavailable after Drain.
  // The futures give the raw logits, or Cancelled, DeadlineExceeded, or the model's error.
  [[nodiscard]] absl::StatusOr<std::vector<std::future<absl::StatusOr<std::vector<float>>>>> Submit(
      std::vector<ScoreJob> jobs);

  void Drain() { queue_.Close(); }

  // Classified tokens per second, an exponential average.
  [[nodiscard]] double tokens_per_second() const { return tokens_per_second_.load(); }
  void SeedSpeed(double tokens_per_second) { tokens_per_second_.store(tokens_per_second); }

 private:
  struct Pending {
    ScoreJob job;
    std::promise<absl::StatusOr<std::vector<float>>> promise;
  };

  void Loop();
  void Classify(std::vector<Pending> batch);

  nn::SequenceClassifier* const model_;
  const EngineOptions options_;
  obs::Gauge queue_depth_;
  obs::Counter texts_total_;
  obs::Counter tokens_total_;
  obs::Counter dropped_;
  obs::Histogram batch_texts_;
  std::atomic<double> tokens_per_second_{0};
  batching::BoundedQueue<Pending> queue_;
  std::jthread thread_;  // last: joined first
};

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_REWARD_ENGINE_H_
