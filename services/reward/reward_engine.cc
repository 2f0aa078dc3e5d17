#include "services/reward/reward_engine.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/nn/weights/finite.h"
#include "services/reward/length_buckets.h"

namespace mellow::reward {
namespace {

// Popped at once, so that there is something to sort by length.
constexpr size_t kMaxPop = 256;

constexpr const char* kLaneNames[] = {"user", "rollout"};
constexpr size_t kLanes = std::size(kLaneNames);

// Once: afterwards the job has no `done`.
void Answer(ScoreJob* job, absl::StatusOr<std::vector<float>> logits) {
  std::exchange(job->done, nullptr)(std::move(logits));
}

}  // namespace

RewardEngine::RewardEngine(nn::SequenceClassifier* model, const EngineOptions& options,
                           obs::Metrics* metrics)
    : model_(model),
      options_(options),
      queue_(static_cast<size_t>(options.queue_capacity), kLanes) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    queue_depth_[lane] =
        metrics->AddGauge("mellow_reward_queue_depth", "Texts that wait for the engine.",
                          {{"lane", kLaneNames[lane]}});
    metrics
        ->AddGauge("mellow_reward_queue_capacity", "Texts that may wait for the engine.",
                   {{"lane", kLaneNames[lane]}})
        .Set(options.queue_capacity);
  }
  texts_total_ = metrics->AddCounter("mellow_reward_texts_total", "Texts classified.");
  tokens_total_ = metrics->AddCounter("mellow_reward_tokens_total", "Tokens classified.");
  dropped_ =
      metrics->AddCounter("mellow_reward_dropped_total",
                          "Texts given up because the caller cancelled or its deadline passed.");
  batch_texts_ = metrics->AddHistogram("mellow_reward_batch_texts", "Texts of a batch.",
                                       {1, 2, 4, 8, 16, 32, 64, 128, 256});
  thread_ = std::jthread([this] { Loop(); });
}

RewardEngine::~RewardEngine() { queue_.Close(); }

absl::StatusOr<std::shared_ptr<RewardEngine::Places>> RewardEngine::Reserve(Lane lane,
                                                                            size_t count) {
  std::shared_ptr<Places> places(new Places(this, lane, 0));
  MELLOW_RETURN_IF_ERROR(queue_.Reserve(count, static_cast<size_t>(lane)));
  places->count_ = count;
  return places;
}

void RewardEngine::GiveBack(Lane lane, size_t count) {
  queue_.Release(count, static_cast<size_t>(lane));
}

absl::Status RewardEngine::Submit(std::vector<ScoreJob> jobs, Places* places) {
  MELLOW_RETURN_IF_ERROR(
      queue_.TryPushAll(&jobs, static_cast<size_t>(places->lane_), /*reserved=*/true));
  places->count_ = 0;
  SetDepths();
  return absl::OkStatus();
}

void RewardEngine::SetDepths() {
  for (size_t lane = 0; lane < kLanes; ++lane)
    queue_depth_[lane].Set(static_cast<double>(queue_.lane_size(lane)));
}

void RewardEngine::Classify(absl::Span<ScoreJob* const> batch) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::vector<int32_t>> sequences;
  double tokens = 0;
  for (const ScoreJob* job : batch) {
    sequences.push_back(job->ids);
    tokens += static_cast<double>(job->ids.size());
  }
  auto logits = Caught([&] { return model_->Classify(sequences); });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // Before the answers go out, so that whoever has an answer also finds it counted.
  if (logits.ok()) {
    const double before = tokens_per_second_.load();
    const double speed = tokens / std::max(seconds, 1e-9);
    tokens_per_second_.store(before == 0 ? speed : before + 0.1 * (speed - before));
    texts_total_.Increment(static_cast<double>(batch.size()));
    tokens_total_.Increment(tokens);
    batch_texts_.Observe(static_cast<double>(batch.size()));
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    // A text's own logits decide about its own answer.
    absl::Status status = logits.ok() ? nn::CheckComputed((*logits)[i], "logits") : logits.status();
    if (status.ok()) {
      Answer(batch[i], std::move((*logits)[i]));
    } else {
      Answer(batch[i], std::move(status));
    }
  }
}

void RewardEngine::ClassifyAll(std::list<ScoreJob>& jobs) {
  const SteadyTime now = SteadyTime::Now();
  std::vector<ScoreJob*> wanted;
  std::vector<int64_t> lengths;
  for (ScoreJob& job : jobs) {
    const bool late = now >= job.deadline;
    if (late || (job.cancelled != nullptr && job.cancelled())) {
      dropped_.Increment();
      Answer(&job,
             late ? absl::DeadlineExceededError("the deadline passed before the answer was ready")
                  : absl::CancelledError("the caller cancelled"));
      continue;
    }
    wanted.push_back(&job);
    lengths.push_back(static_cast<int64_t>(job.ids.size()));
  }
  for (const std::vector<size_t>& bucket : BucketByLength(lengths, options_.max_batch_tokens)) {
    std::vector<ScoreJob*> batch;
    for (const size_t index : bucket) batch.push_back(wanted[index]);
    Classify(batch);
    progress_.Advance(SteadyTime::Now());
  }
}

void RewardEngine::Loop() {
  while (true) {
    progress_.Idle();
    std::list<ScoreJob> popped = queue_.PopBatch(kMaxPop, options_.linger);
    if (popped.empty()) return;
    SetDepths();
    progress_.Begin(SteadyTime::Now());
    const absl::Status status = Caught([&] {
      ClassifyAll(popped);
      return absl::OkStatus();
    });
    for (ScoreJob& job : popped) {
      if (job.done != nullptr) Answer(&job, status);  // an exception came before its answer
    }
  }
}

}  // namespace mellow::reward
