#include "services/policy/policy_engine.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "absl/cleanup/cleanup.h"
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

// More tokens to encode or score in one call of the model are worked on in pieces: as many as delay
// the rows by a few steps.
constexpr int64_t kLongTokens = 1024;

// While users wait for more than there is, so many of them go before one rollout: without it their
// load, if it never ends, would stop every run.
constexpr int kUsersPerRollout = 8;

int64_t Cost(const GenerateJob& job) {
  return static_cast<int64_t>(job.source_ids.size()) +
         int64_t{job.params.max_new_tokens} * job.params.num_beams;
}

int64_t Sources(const std::list<GenerateJob>& jobs) {
  int64_t tokens = 0;
  for (const GenerateJob& job : jobs) tokens += static_cast<int64_t>(job.source_ids.size());
  return tokens;
}

int64_t Tokens(const ScoreJob::Pair& pair) {
  return static_cast<int64_t>(pair.source_ids.size() + pair.target_ids.size());
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
  std::shared_ptr<Places> places(new Places(this, lane, 0));
  MutexLock lock(&mutex_);
  MELLOW_RETURN_IF_ERROR(CheckRoom(lane, count));
  reserved_[static_cast<int>(lane)] += count;
  places->count_ = count;
  return places;
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
  std::list<GenerateJob> added[2];
  for (GenerateJob& job : jobs) added[static_cast<int>(job.lane)].push_back(std::move(job));
  {
    MutexLock lock(&mutex_);
    if (places != nullptr) {
      reserved_[static_cast<int>(places->lane_)] -= places->count_;
      places->count_ = 0;
    }
    for (int lane = 0; lane < 2; ++lane) {
      if (!added[lane].empty())
        MELLOW_RETURN_IF_ERROR(CheckRoom(static_cast<Lane>(lane), added[lane].size()));
    }
    for (int lane = 0; lane < 2; ++lane) {
      lanes_[lane].splice(lanes_[lane].end(), added[lane]);
      queue_depth_[lane].Set(static_cast<double>(lanes_[lane].size()));
    }
  }
  work_.NotifyAll();
  return absl::OkStatus();
}

absl::Status PolicyEngine::Submit(ScoreJob job) {
  std::list<WaitingScore> added(1);
  added.front().job = std::move(job);
  {
    MutexLock lock(&mutex_);
    if (draining_ || stop_) return absl::UnavailableError("this node is shutting down");
    if (scores_.size() >= static_cast<size_t>(options_.queue_capacity))
      return absl::ResourceExhaustedError(
          absl::StrCat("the scoring queue is full (", scores_.size(), " wait)"));
    scores_.splice(scores_.end(), added);
  }
  work_.NotifyAll();
  return absl::OkStatus();
}

template <typename Entries, typename JobOf>
void PolicyEngine::DropGone(Entries* entries, const JobOf& job_of) {
  const SteadyTime now = SteadyTime::Now();
  for (auto at = entries->begin(); at != entries->end();) {
    auto& job = std::invoke(job_of, *at);
    absl::Status gone = Gone(job.call, now);
    if (gone.ok()) {
      ++at;
      continue;
    }
    dropped_.Increment();
    job.done(std::move(gone));
    at = entries->erase(at);
  }
}

void PolicyEngine::Admit() {
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
  for (const auto* jobs : {&admitted_, &encoding_}) {
    for (const GenerateJob& job : *jobs) {
      all.Add(job);
      if (job.lane == Lane::kRollout) rollouts.Add(job);
    }
  }
  // An eighth of both budgets stays free of rollouts, so that most users need not wait for one to
  // end. A user who must wait nevertheless is next: nothing that ends makes room for a rollout, but
  // for the one that is due.
  const Use whole{options_.max_batch_tokens, options_.max_rows};
  const Use for_rollouts{whole.tokens - whole.tokens / 8,
                         whole.rows - std::max<int64_t>(1, whole.rows / 8)};
  auto& users = lanes_[static_cast<int>(Lane::kUser)];
  auto& runs = lanes_[static_cast<int>(Lane::kRollout)];
  DropGone(&users, std::identity());
  DropGone(&runs, std::identity());
  // While a long work is not done, what is short passes what is long.
  int64_t room = kLongTokens - Sources(admitted_);
  const auto first = [&](std::list<GenerateJob>& queue) {
    return std::find_if(queue.begin(), queue.end(), [&](const GenerateJob& job) {
      return !in_pieces_ || static_cast<int64_t>(job.source_ids.size()) <= room;
    });
  };
  while (true) {
    const auto user = first(users);
    const auto run = first(runs);
    // A rollout that is larger than the rollouts' part runs as the only one.
    const bool rollout = run != runs.end() &&
                         (rollouts.rows == 0 || rollouts.Fits(*run, for_rollouts)) &&
                         (user == users.end() || users_since_rollout_ >= kUsersPerRollout);
    if (!rollout && user == users.end()) break;
    const auto next = rollout ? run : user;
    if (!all.Fits(*next, whole)) break;
    all.Add(*next);
    if (rollout) rollouts.Add(*next);
    users_since_rollout_ = rollout || runs.empty() ? 0 : users_since_rollout_ + 1;
    room -= static_cast<int64_t>(next->source_ids.size());
    admitted_.splice(admitted_.end(), rollout ? runs : users, next);
  }
  queue_depth_[static_cast<int>(Lane::kUser)].Set(static_cast<double>(users.size()));
  queue_depth_[static_cast<int>(Lane::kRollout)].Set(static_cast<double>(runs.size()));
}

template <typename Work>
void PolicyEngine::WorkInPieces(const Work& work, const std::function<absl::Status()>& gone) {
  in_pieces_ = true;
  const auto end = absl::MakeCleanup([this] { in_pieces_ = false; });
  work([&]() -> absl::Status {
    progress_.Advance(SteadyTime::Now());
    {
      MutexLock lock(&mutex_);
      if (stop_) return absl::UnavailableError("this node is shutting down");
    }
    (void)Caught([this] {
      Turn();
      return absl::OkStatus();
    });
    return gone();
  });
}

void PolicyEngine::Start() {
  if (in_pieces_ || (encoding_.empty() && Sources(admitted_) <= kLongTokens))
    return Encode(&admitted_, nullptr);
  encoding_.splice(encoding_.end(), admitted_);
  WorkInPieces([this](const nn::Seq2SeqModel::Between& between) { Encode(&encoding_, between); },
               [this] {
                 const SteadyTime now = SteadyTime::Now();
                 absl::Status gone;
                 for (const GenerateJob& job : encoding_) {
                   gone = Gone(job.call, now);
                   if (gone.ok()) break;  // somebody waits for it
                 }
                 return gone;
               });
}

void PolicyEngine::Encode(std::list<GenerateJob>* jobs, const nn::Seq2SeqModel::Between& between) {
  if (jobs->empty()) return;
  auto rows = Caught([&] {
    std::vector<nn::UnpaddedSource> sources;
    for (const GenerateJob& job : *jobs)
      sources.push_back(nn::EncodedSource(model_->config(), job.source_ids, job.mask_padding));
    std::vector<nn::EncodeRequest> requests;
    for (const GenerateJob& job : *jobs) {
      const nn::UnpaddedSource& source = sources[requests.size()];
      requests.push_back({source.ids, job.adapter->weights.get(), job.params.max_new_tokens,
                          source.positions, job.value_head.get()});
    }
    return between == nullptr ? model_->Encode(requests)
                              : model_->EncodeInPieces(requests, between);
  });
  for (size_t i = 0; !jobs->empty(); ++i, jobs->pop_front()) {
    GenerateJob& job = jobs->front();
    const absl::Status started = Caught([&] {
      if (!rows.ok()) return rows.status();
      std::list<Running> running(1);
      running.front().decoder = nn::MakeSequenceDecoder(model_->config(), job.params, job.stream,
                                                        job.source_ids, std::move((*rows)[i]));
      running.front().job = std::move(job);
      running_.splice(running_.end(), running);
      return absl::OkStatus();
    });
    if (started.ok()) continue;
    if (absl::IsCancelled(started) || absl::IsDeadlineExceeded(started)) dropped_.Increment();
    job.done(started);
  }
}

void PolicyEngine::StepAll() {
  if (running_.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  const absl::Status status = Caught([&] {
    std::vector<nn::SequenceDecoder*> decoders;
    for (const Running& r : running_) decoders.push_back(r.decoder.get());
    return nn::StepTogether(*model_, decoders, &logits_);
  });
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
  std::erase_if(running_, [this](Running& r) {
    tokens_total_[static_cast<int>(r.job.lane)].Increment();
    auto ended = Caught([&]() -> absl::StatusOr<nn::GeneratedSequence> {
      if (r.job.on_token != nullptr) r.job.on_token(r.decoder->sequence());
      return r.decoder->done() ? r.decoder->sequence() : nn::GeneratedSequence();
    });
    if (ended.ok() && !r.decoder->done()) return false;
    r.job.done(std::move(ended));
    return true;
  });
}

std::list<PolicyEngine::WaitingScore> PolicyEngine::NextScore() {
  DropGone(&scores_, &WaitingScore::job);
  const auto next = std::find_if(scores_.begin(), scores_.end(), [this](const WaitingScore& score) {
    return !in_pieces_ || Tokens(score.job.pairs[score.logprobs.size()]) <= kLongTokens;
  });
  std::list<WaitingScore> taken;
  if (next != scores_.end()) taken.splice(taken.end(), scores_, next);
  return taken;
}

void PolicyEngine::ScorePiece(std::list<WaitingScore> scoring) {
  if (scoring.empty()) return;
  WaitingScore& score = scoring.front();
  const absl::Status status = Caught([&]() -> absl::Status {
    std::vector<nn::ScoreRequest> requests;
    int64_t tokens = 0;
    for (size_t i = score.logprobs.size(); i < score.job.pairs.size(); ++i) {
      const ScoreJob::Pair& pair = score.job.pairs[i];
      if (!requests.empty() && tokens + Tokens(pair) > kScorePieceTokens) break;
      tokens += Tokens(pair);
      requests.push_back({pair.source_ids, pair.target_ids, score.job.adapter->weights.get()});
    }
    absl::StatusOr<std::vector<std::vector<float>>> piece;
    if (tokens <= kLongTokens) {
      piece = model_->ScoreTokens(requests);
    } else {
      WorkInPieces(
          [&](const nn::Seq2SeqModel::Between& between) {
            piece = Caught([&] { return model_->ScoreTokensInPieces(requests, between); });
          },
          [&] { return Gone(score.job.call, SteadyTime::Now()); });
    }
    MELLOW_RETURN_IF_ERROR(piece.status());
    for (std::vector<float>& logprobs : *piece) score.logprobs.push_back(std::move(logprobs));
    return absl::OkStatus();
  });
  if (status.ok() && score.logprobs.size() < score.job.pairs.size()) {
    MutexLock lock(&mutex_);
    // Behind the others: a large one holds up no small one.
    scores_.splice(scores_.end(), scoring);
  } else if (status.ok()) {
    score.job.done(std::move(score.logprobs));
  } else {
    if (absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) dropped_.Increment();
    score.job.done(status);
  }
}

void PolicyEngine::Turn() {
  {
    MutexLock lock(&mutex_);
    Admit();
  }
  Start();
  std::list<WaitingScore> scoring;
  {
    MutexLock lock(&mutex_);
    scoring = NextScore();
  }
  ScorePiece(std::move(scoring));
  DropGone(&running_, &Running::job);
  running_rows_.Set(static_cast<double>(running_.size()));
  StepAll();
}

void PolicyEngine::Loop() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      while (!stop_ && running_.empty() && admitted_.empty() && encoding_.empty() &&
             lanes_[0].empty() && lanes_[1].empty() && scores_.empty()) {
        running_rows_.Set(0);
        progress_.Idle();
        work_.Wait(&mutex_);
        progress_.Begin(SteadyTime::Now());
      }
      if (stop_) {
        const absl::Status stopped = Caught(
            []() -> absl::Status { return absl::UnavailableError("this node is shutting down"); });
        for (auto* jobs : {&lanes_[0], &lanes_[1], &admitted_, &encoding_})
          for (GenerateJob& job : *jobs) job.done(stopped);
        for (WaitingScore& w : scores_) w.job.done(stopped);
        for (Running& r : running_) r.job.done(stopped);
        return;
      }
    }
    // Where memory ends between the requests, the next turn tries again.
    (void)Caught([this] {
      Turn();
      return absl::OkStatus();
    });
    progress_.Advance(SteadyTime::Now());
  }
}

}  // namespace mellow::policy
