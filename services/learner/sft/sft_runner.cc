#include "services/learner/sft/sft_runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"

namespace mellow::learner {
namespace {

// How often a watcher looks whether its caller is still there.
constexpr absl::Duration kPoll = absl::Milliseconds(200);
// What a watcher has in memory while its reader reads.
constexpr size_t kStepsAtOnce = 16;
constexpr char kNobodyWatches[] = "nobody watches anymore";

SftStatus StatusOf(const std::string& run_id, const SftSession& session) {
  SftStatus status;
  status.run_id = run_id;
  status.step = session.trainer().step();
  status.length = session.length();
  status.trainable_parameters = session.trainer().trainable_parameters();
  status.total_parameters = session.trainer().total_parameters();
  status.train_pairs = static_cast<int64_t>(session.data().train.size());
  status.dev_pairs = static_cast<int64_t>(session.data().dev.size());
  status.truncated_sources = session.data().truncated_sources;
  status.truncated_targets = session.data().truncated_targets;
  if (session.best() != nullptr) status.best = *session.best();
  return status;
}

absl::Status Draining() { return absl::UnavailableError("this learner is shutting down"); }

}  // namespace

SftRunner::SftRunner(SftSession::Options options, ComputeTurns* turns, obs::Metrics* metrics,
                     absl::Duration pause)
    : options_(std::move(options)), turns_(turns), pause_(pause) {
  steps_total_ = metrics->AddCounter("mellow_sft_steps_total", "Supervised optimizer steps.");
  loss_ = metrics->AddGauge("mellow_sft_loss", "Loss of the last supervised step, nats per token.");
  dev_loss_ = metrics->AddGauge("mellow_sft_dev_loss", "Last measured dev loss, nats per token.");
  learning_rate_ =
      metrics->AddGauge("mellow_sft_learning_rate", "Learning rate of the last supervised step.");
  gradient_norm_ = metrics->AddGauge(
      "mellow_sft_gradient_norm", "Global L2 norm of the last supervised step, before clipping.");
}

SftRunner::~SftRunner() { Drain(); }

absl::Status SftRunner::Check(const SftPlan& plan) {
  {
    MutexLock lock(&mutex_);
    if (draining_) return Draining();
  }
  return SftSession::Check(options_.model, plan);
}

absl::StatusOr<SftStatus> SftRunner::Start(const SftSettings& settings) {
  MutexLock start_lock(&start_mutex_);
  {
    MutexLock lock(&mutex_);
    if (draining_) return Draining();
    if (status_ && status_->run_id == settings.run_id &&
        (working_ || status_->state == SftState::kDone)) {
      MELLOW_RETURN_IF_ERROR(CheckSameSft(settings.run_id, spec_json_, settings.spec_json));
      return *status_;
    }
    if (working_) {
      obs::Log(obs::Severity::kWarning, "another run takes the place of the one in progress",
               {{"run", settings.run_id}, {"stopped", status_->run_id}, {"step", status_->step}});
      stop_requested_ = true;
      changed_.NotifyAll();  // a pause ends
    }
    while (working_) changed_.Wait(&mutex_);
    if (draining_) return Draining();
  }
  if (worker_.joinable()) worker_.join();
  MELLOW_ASSIGN_OR_RETURN(session_, SftSession::Open(options_, settings));
  SftStatus status = StatusOf(settings.run_id, *session_);
  const bool done = session_->done();
  if (done) {
    MELLOW_ASSIGN_OR_RETURN(status.result, session_->Finish());
    status.state = SftState::kDone;
    MELLOW_RETURN_IF_ERROR(Keep(status));
  }
  obs::Log(obs::Severity::kInfo, "fine-tuning",
           {{"run", settings.run_id},
            {"step", status.step},
            {"total_steps", status.length.total_steps},
            {"trainable_parameters", status.trainable_parameters}});
  MutexLock lock(&mutex_);
  status_ = status;
  spec_json_ = settings.spec_json;
  records_ = session_->records();
  activity_.clear();
  stop_requested_ = false;
  if (done) {
    session_.reset();
  } else {
    worker_ = std::jthread([this, settings] { Loop(settings); });
    working_ = true;  // not of a thread that could not be started
  }
  return status;
}

void SftRunner::Loop(const SftSettings& settings) {
  // The session, which may be half-way after an error, is dropped, and its checkpoint has what
  // counts.
  absl::Status status = Caught([&] { return TrainToTheEnd(); });
  while (absl::IsResourceExhausted(status)) {
    status = Caught([&]() -> absl::Status {
      MELLOW_RETURN_IF_ERROR(OpenAgain(settings, status));
      return TrainToTheEnd();
    });
  }
  if (absl::IsCancelled(status)) return End(SftState::kStopped);
  if (status.ok()) return;
  obs::Log(obs::Severity::kError, "fine-tuning failed", {{"error", status.ToString()}});
  End(SftState::kFailed, status);
}

absl::Status SftRunner::OpenAgain(const SftSettings& settings, const absl::Status& why) {
  session_.reset();
  obs::Log(obs::Severity::kWarning, "fine-tuning goes on from its checkpoint after a pause",
           {{"run", settings.run_id}, {"error", why.ToString()}});
  Say(absl::StrCat(why.message(), "; trying again from the checkpoint"));
  {
    MutexLock lock(&mutex_);
    const SteadyTime until = SteadyTime::Now() + pause_;
    while (!stop_requested_ && !draining_ && changed_.WaitUntil(&mutex_, until)) {
    }
    if (stop_requested_ || draining_) return absl::CancelledError("the run is to stop");
  }
  MELLOW_ASSIGN_OR_RETURN(session_, SftSession::Open(options_, settings));
  MutexLock lock(&mutex_);
  records_ = session_->records();
  status_->step = session_->trainer().step();
  return absl::OkStatus();
}

absl::Status SftRunner::TrainToTheEnd() {
  while (!session_->done()) {
    {
      MutexLock lock(&mutex_);
      if (stop_requested_ || draining_) break;
    }
    // A step of many batches may take longer than PPO's calls wait: they come in between batches.
    ComputeTurns::Turn turn(turns_);
    ComputeProgress::Work work(&progress_);
    MELLOW_ASSIGN_OR_RETURN(const SftStepRecord record,
                            session_->Advance([this](const std::string& text) { Say(text); },
                                              [&turn, &work] {
                                                work.Advance();
                                                work.Pause();
                                                turn.Yield();
                                                work.Resume();
                                              }));
    work.Advance();
    Publish(record);
  }
  MELLOW_RETURN_IF_ERROR(session_->Checkpoint());
  if (!session_->done()) {
    End(SftState::kStopped);
    return absl::OkStatus();
  }
  MELLOW_ASSIGN_OR_RETURN(const SftResult result, session_->Finish());
  obs::Log(obs::Severity::kInfo, "fine-tuning done",
           {{"adapter", result.folder}, {"sha256", result.sha256}});
  SftStatus status;
  {
    MutexLock lock(&mutex_);
    status_->result = result;
    status = *status_;
  }
  MELLOW_RETURN_IF_ERROR(Keep(status));
  End(SftState::kDone);
  return absl::OkStatus();
}

void SftRunner::Publish(const SftStepRecord& record) {
  if (record.loss) {
    steps_total_.Increment();
    loss_.Set(*record.loss);
    learning_rate_.Set(record.learning_rate);
    gradient_norm_.Set(record.gradient_norm);
  }
  if (record.dev_loss) dev_loss_.Set(*record.dev_loss);
  {
    MutexLock lock(&mutex_);
    records_.push_back(record);
    status_->step = record.step;
    if (session_->best() != nullptr) status_->best = *session_->best();
  }
  changed_.NotifyAll();
}

void SftRunner::Say(const std::string& activity) {
  {
    MutexLock lock(&mutex_);
    activity_ = activity;
  }
  changed_.NotifyAll();
}

void SftRunner::End(SftState state, const absl::Status& error) {
  session_.reset();  // its checkpoints have everything; the weights' memory is wanted elsewhere
  {
    MutexLock lock(&mutex_);
    status_->state = state;
    status_->error = error;
    activity_.clear();
    working_ = false;
  }
  changed_.NotifyAll();
}

absl::Status SftRunner::Keep(const SftStatus& done) const {
  return KeepFinished(options_.checkpoint_dir, {session_->run_file(), done});
}

bool SftRunner::IsHere(const std::string& run_id) const {
  MutexLock lock(&mutex_);
  return CheckIsHere(run_id).ok();
}

absl::Status SftRunner::Replay(const std::string& run_id, int64_t after_step, SftSink* sink) const {
  absl::StatusOr<FinishedSft> finished = ReadFinished(options_.checkpoint_dir, run_id);
  if (absl::IsNotFound(finished.status())) {
    MutexLock lock(&mutex_);
    return CheckIsHere(run_id);
  }
  MELLOW_RETURN_IF_ERROR(finished.status());
  for (const SftStepRecord& record : finished->file.records) {
    if (record.step > after_step && !sink->OnStep(record))
      return absl::CancelledError(kNobodyWatches);
  }
  (void)sink->OnEnded(finished->status);
  return absl::OkStatus();
}

absl::Status SftRunner::CheckIsHere(const std::string& run_id) const {
  if (status_ && status_->run_id == run_id) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("run_id ", run_id, ": not in progress here, call StartSft first"));
}

absl::Status SftRunner::Watch(const std::string& run_id, int64_t after_step, SftSink* sink) {
  if (!IsHere(run_id)) return Replay(run_id, after_step, sink);
  std::string said;
  while (true) {
    std::vector<SftStepRecord> news;
    std::string activity;
    SftStatus status;
    bool working = false, draining = false, more = false;
    {
      MutexLock lock(&mutex_);
      MELLOW_RETURN_IF_ERROR(CheckIsHere(run_id));
      const auto is_news = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return records_.empty() ? false : records_.back().step > after_step;
      };
      if (working_ && !is_news() && activity_ == said) changed_.WaitFor(&mutex_, kPoll);
      MELLOW_RETURN_IF_ERROR(CheckIsHere(run_id));
      for (const SftStepRecord& record : records_) {
        if (record.step <= after_step) continue;
        more = news.size() == kStepsAtOnce;
        if (more) break;
        news.push_back(record);
      }
      activity = activity_;
      status = *status_;
      working = working_;
      draining = draining_;
    }
    for (const SftStepRecord& record : news) {
      if (!sink->OnStep(record)) return absl::CancelledError(kNobodyWatches);
      after_step = record.step;
    }
    if (activity != said && !sink->OnActivity(said = activity))
      return absl::CancelledError(kNobodyWatches);
    if (sink->cancelled()) return absl::CancelledError(kNobodyWatches);
    if (working || more) continue;
    // A run that ends because this process does goes on in the next one.
    if (draining && status.state == SftState::kStopped) return Draining();
    (void)sink->OnEnded(status);
    return absl::OkStatus();
  }
}

absl::StatusOr<SftStatus> SftRunner::Stop(const std::string& run_id) {
  MutexLock lock(&mutex_);
  MELLOW_RETURN_IF_ERROR(CheckIsHere(run_id));
  if (working_) stop_requested_ = true;
  changed_.NotifyAll();  // a pause ends
  while (working_) {
    changed_.Wait(&mutex_);
    MELLOW_RETURN_IF_ERROR(CheckIsHere(run_id));
  }
  return *status_;
}

void SftRunner::Drain() {
  {
    MutexLock lock(&mutex_);
    draining_ = true;
  }
  changed_.NotifyAll();
}

}  // namespace mellow::learner
