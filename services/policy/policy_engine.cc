#include "services/policy/policy_engine.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/nn/generation/generate.h"

namespace mellow::policy {
namespace {

constexpr const char* kLaneNames[] = {"user", "rollout"};

// Tokens of a call of ScoreTokens between two decode steps: about what a step of a full batch and
// its encoder cost, so that a large request delays the rows by no more than an admission does.
constexpr int64_t kScorePieceTokens = 256;

int64_t Cost(const GenerateJob& job) {
  return static_cast<int64_t>(job.source_ids.size()) +
         int64_t{job.params.max_new_tokens} * job.params.num_beams;
}

// Why nobody waits for this call anymore; OK while somebody does.
absl::Status Gone(const CallContext& call, SteadyTime now) {
  if (now >= call.deadline)
    return absl::DeadlineExceededError("the deadline passed before the answer was ready");
  if (call.cancelled != nullptr && call.cancelled())
    return absl::CancelledError("the caller cancelled");
  return absl::OkStatus();
}

}  // namespace

PolicyEngine::PolicyEngine(nn::Seq2SeqModel* model, const EngineOptions& options,
                           obs::Metrics* metrics)
    : model_(model), options_(options) {
  for (int lane = 0; lane < 2; ++lane) {
    queue_depth_[lane] =
        metrics->AddGauge("mellow_policy_queue_depth", "Sequences that wait for the engine.",
                          {{"lane", kLaneNames[lane]}});
    metrics
        ->AddGauge("mellow_policy_queue_capacity", "Sequences that may wait for the engine.",
                   {{"lane", kLaneNames[lane]}})
        .Set(options.queue_capacity);
    tokens_total_[lane] = metrics->AddCounter("mellow_policy_tokens_total", "Tokens generated.",
                                              {{"lane", kLaneNames[lane]}});
  }
  running_rows_ =
      metrics->AddGauge("mellow_policy_running_rows", "Sequences that the engine decodes now.");
  batch_rows_ = metrics->AddHistogram("mellow_policy_batch_rows", "Rows of a decode step.",
                                      {1, 2, 4, 8, 16, 32, 64, 128});
  metrics->AddGauge("mellow_policy_max_batch_rows", "Rows that a decode step may have.")
      .Set(options.max_rows);
  dropped_ = metrics->AddCounter(
      "mellow_policy_dropped_total",
      "Sequences given up because the caller cancelled or its deadline passed.");
  thread_ = std::jthread([this] { Loop(); });
}

PolicyEngine::~PolicyEngine() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  work_.NotifyAll();
}

void PolicyEngine::Drain() {
  MutexLock lock(&mutex_);
  draining_ = true;
}

absl::Status PolicyEngine::CheckRoom(Lane lane, size_t count) const {
  if (draining_ || stop_) return absl::UnavailableError("this node is shutting down");
  const int index = static_cast<int>(lane);
  if (count > static_cast<size_t>(options_.queue_capacity))
    return absl::InvalidArgumentError(
        absl::StrCat(count, " prompts at once: this node's queue holds ", options_.queue_capacity));
  const size_t taken = lanes_[index].size() + reserved_[index];
  if (taken + count > static_cast<size_t>(options_.queue_capacity))
    return absl::ResourceExhaustedError(absl::StrCat("the ", kLaneNames[index], " queue is full (",
                                                     taken, " of ", options_.queue_capacity,
                                                     " wait, ", count, " more came)"));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<PolicyEngine::Places>> PolicyEngine::Reserve(Lane lane,
                                                                            size_t count) {
  MutexLock lock(&mutex_);
  MELLOW_RETURN_IF_ERROR(CheckRoom(lane, count));
  reserved_[static_cast<int>(lane)] += count;
  return std::shared_ptr<Places>(new Places(this, lane, count));
}

void PolicyEngine::GiveBack(Lane lane, size_t count) {
  MutexLock lock(&mutex_);
  reserved_[static_cast<int>(lane)] -= count;
}

absl::Status PolicyEngine::Submit(std::vector<GenerateJob> jobs, Places* places) {
  for (const GenerateJob& job : jobs) {
    if (Cost(job) > options_.max_batch_tokens || job.params.num_beams > options_.max_rows)
      return absl::InvalidArgumentError(
          absl::StrCat("a prompt of ", job.source_ids.size(), " tokens with max_new_tokens ",
                       job.params.max_new_tokens, " and num_beams ", job.params.num_beams,
                       " exceeds this node's ", options_.max_batch_tokens, " batch tokens or ",
                       options_.max_rows, " rows"));
  }
  {
    MutexLock lock(&mutex_);
    if (places != nullptr) {
      reserved_[static_cast<int>(places->lane_)] -= places->count_;
      places->count_ = 0;
    }
    size_t added[2] = {0, 0};
    for (const GenerateJob& job : jobs) ++added[static_cast<int>(job.lane)];
    for (int lane = 0; lane < 2; ++lane) {
      if (added[lane] > 0) MELLOW_RETURN_IF_ERROR(CheckRoom(static_cast<Lane>(lane), added[lane]));
    }
    for (GenerateJob& job : jobs) lanes_[static_cast<int>(job.lane)].push_back(std::move(job));
    for (int lane = 0; lane < 2; ++lane)
      queue_depth_[lane].Set(static_cast<double>(lanes_[lane].size()));
  }
  work_.NotifyAll();
  return absl::OkStatus();
}

absl::Status PolicyEngine::Submit(ScoreJob job) {
  {
    MutexLock lock(&mutex_);
    if (draining_ || stop_) return absl::UnavailableError("this node is shutting down");
    if (scores_.size() >= static_cast<size_t>(options_.queue_capacity))
      return absl::ResourceExhaustedError(
          absl::StrCat("the scoring queue is full (", scores_.size(), " wait)"));
    scores_.push_back({std::move(job)});
  }
  work_.NotifyAll();
  return absl::OkStatus();
}

template <typename Entries, typename JobOf>
void PolicyEngine::DropGone(Entries* entries, const JobOf& job_of) {
  const SteadyTime now = SteadyTime::Now();
  std::erase_if(*entries, [&](auto& entry) {
    auto& job = std::invoke(job_of, entry);
    absl::Status gone = Gone(job.call, now);
    if (gone.ok()) return false;
    dropped_.Increment();
    job.done(std::move(gone));
    return true;
  });
}

std::vector<GenerateJob> PolicyEngine::Admit() {
  struct Use {
    int64_t tokens = 0;
    int64_t rows = 0;
    void Add(const GenerateJob& job) {
      tokens += Cost(job);
      rows += job.params.num_beams;
    }
    bool Fits(const GenerateJob& job, const Use& limit) const {
      return tokens + Cost(job) <= limit.tokens && rows + job.params.num_beams <= limit.rows;
    }
  };
  Use all;
  Use rollouts;
  for (const Running& r : running_) {
    all.Add(r.job);
    if (r.job.lane == Lane::kRollout) rollouts.Add(r.job);
  }
  // An eighth of both budgets stays free of rollouts, so that most users need not wait for one to
  // end. A user who must wait nevertheless is next: nothing that ends makes room for a rollout.
  const Use whole{options_.max_batch_tokens, options_.max_rows};
  const Use for_rollouts{whole.tokens - whole.tokens / 8,
                         whole.rows - std::max<int64_t>(1, whole.rows / 8)};
  std::vector<GenerateJob> admitted;
  for (const Lane lane : {Lane::kUser, Lane::kRollout}) {
    auto& queue = lanes_[static_cast<int>(lane)];
    DropGone(&queue, std::identity());
    while (!queue.empty()) {
      GenerateJob& next = queue.front();
      if (!all.Fits(next, whole)) break;
      if (lane == Lane::kRollout) {
        if (!lanes_[static_cast<int>(Lane::kUser)].empty()) break;
        // A rollout that is larger than the rollouts' part runs as the only one.
        if (rollouts.rows > 0 && !rollouts.Fits(next, for_rollouts)) break;
        rollouts.Add(next);
      }
      all.Add(next);
      admitted.push_back(std::move(next));
      queue.pop_front();
    }
    queue_depth_[static_cast<int>(lane)].Set(static_cast<double>(queue.size()));
  }
  return admitted;
}

void PolicyEngine::Start(std::vector<GenerateJob> admitted) {
  if (admitted.empty()) return;
  std::vector<nn::UnpaddedSource> sources;
  for (const GenerateJob& job : admitted)
    sources.push_back(nn::EncodedSource(model_->config(), job.source_ids, job.mask_padding));
  std::vector<nn::EncodeRequest> requests;
  for (size_t i = 0; i < admitted.size(); ++i) {
    requests.push_back({sources[i].ids, admitted[i].adapter->weights.get(),
                        admitted[i].params.max_new_tokens, sources[i].positions,
                        admitted[i].value_head.get()});
  }
  auto rows = model_->Encode(requests);
  for (size_t i = 0; i < admitted.size(); ++i) {
    if (!rows.ok()) {
      admitted[i].done(rows.status());
      continue;
    }
    Running running{std::move(admitted[i]), nullptr};
    running.decoder =
        nn::MakeSequenceDecoder(model_->config(), running.job.params, running.job.stream,
                                running.job.source_ids, std::move((*rows)[i]));
    running_.push_back(std::move(running));
  }
}

void PolicyEngine::StepAll() {
  if (running_.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  std::vector<nn::SequenceDecoder*> decoders;
  for (const Running& r : running_) decoders.push_back(r.decoder.get());
  const absl::Status status = nn::StepTogether(*model_, decoders, &logits_);
  if (!status.ok()) {
    for (Running& r : running_) r.job.done(status);
    running_.clear();
    return;
  }
  std::erase_if(running_, [](Running& r) {
    if (r.decoder->status().ok()) return false;
    r.job.done(r.decoder->status());
    return true;
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double speed = static_cast<double>(running_.size()) / std::max(seconds, 1e-9);
  const double before = tokens_per_second_.load();
  tokens_per_second_.store(before == 0 ? speed : before + 0.02 * (speed - before));
  batch_rows_.Observe(static_cast<double>(running_.size()));
  for (Running& r : running_) {
    tokens_total_[static_cast<int>(r.job.lane)].Increment();
    if (r.job.on_token != nullptr) r.job.on_token(r.decoder->sequence());
  }
  std::erase_if(running_, [](Running& r) {
    if (!r.decoder->done()) return false;
    r.job.done(r.decoder->sequence());
    return true;
  });
}

std::optional<PolicyEngine::WaitingScore> PolicyEngine::NextScore() {
  DropGone(&scores_, &WaitingScore::job);
  if (scores_.empty()) return std::nullopt;
  WaitingScore next = std::move(scores_.front());
  scores_.pop_front();
  return next;
}

bool PolicyEngine::ScorePiece(WaitingScore& score) {
  std::vector<nn::ScoreRequest> requests;
  int64_t tokens = 0;
  for (size_t i = score.logprobs.size(); i < score.job.pairs.size(); ++i) {
    const ScoreJob::Pair& pair = score.job.pairs[i];
    tokens += static_cast<int64_t>(pair.source_ids.size() + pair.target_ids.size());
    if (!requests.empty() && tokens > kScorePieceTokens) break;
    requests.push_back({pair.source_ids, pair.target_ids, score.job.adapter->weights.get()});
  }
  auto piece = model_->ScoreTokens(requests);
  if (!piece.ok()) {
    score.job.done(piece.status());
    return true;
  }
  std::move(piece->begin(), piece->end(), std::back_inserter(score.logprobs));
  if (score.logprobs.size() < score.job.pairs.size()) return false;
  score.job.done(std::move(score.logprobs));
  return true;
}

void PolicyEngine::Loop() {
  while (true) {
    std::vector<GenerateJob> admitted;
    std::optional<WaitingScore> score;
    {
      MutexLock lock(&mutex_);
      while (!stop_ && running_.empty() && lanes_[0].empty() && lanes_[1].empty() &&
             scores_.empty()) {
        running_rows_.Set(0);
        progress_.Idle();
        work_.Wait(&mutex_);
        progress_.Begin(SteadyTime::Now());
      }
      if (stop_) {
        const absl::Status stopped = absl::UnavailableError("this node is shutting down");
        for (auto& lane : lanes_)
          for (GenerateJob& job : lane) job.done(stopped);
        for (WaitingScore& w : scores_) w.job.done(stopped);
        for (Running& r : running_) r.job.done(stopped);
        return;
      }
      admitted = Admit();
      score = NextScore();
    }
    if (score.has_value() && !ScorePiece(*score)) {
      MutexLock lock(&mutex_);
      scores_.push_back(*std::move(score));  // behind the others: a large one holds up no small one
    }
    Start(std::move(admitted));
    DropGone(&running_, &Running::job);
    running_rows_.Set(static_cast<double>(running_.size()));
    StepAll();
    progress_.Advance(SteadyTime::Now());
  }
}

}  // namespace mellow::policy
