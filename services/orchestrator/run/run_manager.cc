#include "services/orchestrator/run/run_manager.h"

#include <optional>
#include <random>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/obs/log.h"
#include "services/orchestrator/base/linked_stop.h"

namespace mellow::orchestrator {
namespace {

constexpr absl::Duration kActivityPause = absl::Seconds(1);
// Steps of one look into the ledger, which nobody else uses meanwhile: what a watcher has in memory
// while its reader reads.
constexpr int kStepsAtOnce = 64;
// Between two looks whether the disk has room again.
constexpr absl::Duration kRoomPause = absl::Seconds(1);

// Unique over every orchestrator that shares a learner: its checkpoints are kept by this name.
std::string NewRunId() {
  std::random_device random;
  return absl::StrCat("run-", absl::FormatTime("%Y%m%d-%H%M%S", absl::Now(), absl::UTCTimeZone()),
                      "-", absl::StrFormat("%08x", random()));
}

}  // namespace

void RunManager::Active::OnActivity(const std::string& text) {
  {
    MutexLock lock(&manager->mutex_);
    if (activity == text) return;
    activity = text;
  }
  manager->Changed();
}

void RunManager::Active::OnOpened(const ParameterCounts& opened) {
  MutexLock lock(&manager->mutex_);
  parameters = opened;
}

void RunManager::Active::OnStep(const StepRecord& step) {
  method->OnStep(run_id, step);
  manager->Changed();
}

RunManager::RunManager(DriverParts parts, ReadSpec read) : parts_(parts), read_(std::move(read)) {}

RunManager::~RunManager() { Shutdown(); }

void RunManager::Changed() {
  {
    MutexLock lock(&mutex_);
    ++changes_;
  }
  changed_.NotifyAll();
}

void RunManager::Shutdown() {
  shutdown_.request_stop();
  Changed();
  MutexLock control(&control_mutex_);
  std::map<Method, std::unique_ptr<Active>> active;
  {
    MutexLock lock(&mutex_);
    active.swap(active_);
  }
  active.clear();  // joins
  MutexLock lock(&mutex_);
  while (watchers_ > 0) changed_.Wait(&mutex_);
}

absl::Status RunManager::ShowNewest(const std::vector<RunRecord>& runs) {
  std::vector<const RunRecord*> shown;
  std::map<Method, size_t> of_method;
  for (const RunRecord& run : runs) {
    if (of_method[run.method]++ < OrchestratorMetrics::kShownRuns) shown.push_back(&run);
  }
  // The newest one comes first in the list, and last here.
  for (size_t i = shown.size(); i-- > 0;) {
    const RunRecord& run = *shown[i];
    if (run.method == Method::kPpo) {
      MELLOW_ASSIGN_OR_RETURN(const std::vector<StepRecord> first,
                              parts_.ledger->Steps(run.run_id, 0, 1));
      MELLOW_ASSIGN_OR_RETURN(const std::optional<StepRecord> last,
                              parts_.ledger->LastStep(run.run_id));
      if (!first.empty()) parts_.metrics->SetStep(run.run_id, first.front());
      if (last) parts_.metrics->SetStep(run.run_id, *last);
      MELLOW_ASSIGN_OR_RETURN(const std::vector<GuardTrip> trips, parts_.ledger->Trips(run.run_id));
      if (!trips.empty()) parts_.metrics->SetGuardTrips(run.run_id, trips);
    }
    if (i == 0) parts_.metrics->SetRunState(run.run_id, run.method, RunState::kRunning);
    parts_.metrics->SetRunState(run.run_id, run.method, run.state);
  }
  return absl::OkStatus();
}

absl::Status RunManager::Recover() {
  MELLOW_ASSIGN_OR_RETURN(const std::optional<AdapterRecord> newest,
                          parts_.ledger->NewestAdapter());
  if (newest) {
    absl::StatusOr<adapters::PeftFiles> files =
        parts_.adapters->Read(newest->folder, newest->ref.sha256);
    if (files.ok()) {
      parts_.supervisor->SetTarget({newest->ref,
                                    std::make_shared<const adapters::PeftFiles>(*std::move(files)),
                                    newest->canary});
    } else {
      obs::Log(obs::Severity::kWarning, "the newest adapter cannot be published again",
               {{"error", files.status().ToString()}});
    }
  }
  MutexLock control(&control_mutex_);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<RunRecord> runs, parts_.ledger->ListRuns());
  MELLOW_RETURN_IF_ERROR(ShowNewest(runs));
  for (const RunRecord& run : runs) {
    if (run.state != RunState::kRunning) continue;
    obs::Log(obs::Severity::kInfo, "going on with a run", {{"run", run.run_id}});
    absl::StatusOr<std::unique_ptr<RunMethod>> method = read_(run.spec);
    if (!method.ok()) {
      obs::Log(obs::Severity::kError, "the run cannot go on",
               {{"run", run.run_id}, {"error", method.status().ToString()}});
      MELLOW_RETURN_IF_ERROR(parts_.ledger->SetRunState(run.run_id, RunState::kFailed,
                                                        std::string(method.status().message())));
      parts_.metrics->SetRunState(run.run_id, run.method, RunState::kFailed);
      continue;
    }
    Launch(run.run_id, *std::move(method));
  }
  return absl::OkStatus();
}

RunManager::Active* RunManager::Find(const std::string& run_id) {
  for (const auto& [method, active] : active_) {
    if (active->run_id == run_id) return active.get();
  }
  return nullptr;
}

bool RunManager::IsActive(const std::string& run_id) {
  MutexLock lock(&mutex_);
  const Active* const active = Find(run_id);
  return active != nullptr && !active->ended;
}

absl::StatusOr<std::string> RunManager::Start(const RunRequest& request) {
  if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
  if (!request.request_id.empty()) {
    MELLOW_ASSIGN_OR_RETURN(const std::vector<RunRecord> runs, parts_.ledger->ListRuns());
    for (const RunRecord& run : runs) {
      if (run.request_id == request.request_id) return run.run_id;
    }
  }
  // What takes long comes before the lock: other runs may be stopped meanwhile.
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<RunMethod> method, read_(request.spec));
  MELLOW_RETURN_IF_ERROR(method->Check(shutdown_.get_token()));
  MutexLock control(&control_mutex_);
  if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
  const std::string run_id = NewRunId();
  MELLOW_ASSIGN_OR_RETURN(const RunRecord run,
                          parts_.ledger->CreateRun({.run_id = run_id,
                                                    .request_id = request.request_id,
                                                    .spec = request.spec,
                                                    .method = method->method()}));
  if (run.run_id == run_id) Launch(run_id, std::move(method));
  return run.run_id;
}

void RunManager::Launch(const std::string& run_id, std::unique_ptr<RunMethod> method) {
  // The ledger lets one run of a method be RUNNING, so the last one has ended there: its thread has
  // nothing left to do but to return.
  const Method key = method->method();
  std::unique_ptr<Active> last;
  {
    MutexLock lock(&mutex_);
    last = std::move(active_[key]);
    active_.erase(key);
  }
  last.reset();
  auto active = std::make_unique<Active>(this, run_id, std::move(method));
  Active* const raw = active.get();
  raw->activity = "starting";
  raw->method->OnState(run_id, RunState::kRunning);
  {
    MutexLock lock(&mutex_);
    active_[key] = std::move(active);
  }
  raw->thread = std::jthread([this, raw] { Drive(raw); });
  Changed();
}

bool RunManager::WaitForRoom(Active* active, const absl::Status& full, std::stop_token ended) {
  obs::Log(obs::Severity::kError, "the run waits for room on the disk",
           {{"run", active->run_id}, {"error", full.ToString()}});
  active->OnActivity(absl::StrCat("waiting for room on the disk: ", full.message()));
  const std::stop_callback wake(ended, [this] { Changed(); });
  const SteadyTime until = SteadyTime::Now() + kRoomPause;
  MutexLock lock(&mutex_);
  while (!ended.stop_requested() && changed_.WaitUntil(&mutex_, until)) {
  }
  return !ended.stop_requested();
}

void RunManager::Drive(Active* active) {
  const LinkedStop ended(active->stop.get_token(), shutdown_.get_token());
  absl::Status status;
  do {
    // What ResourceExhausted a peer says is retried further down: this one is our own disk.
    status = active->method->Drive(active->run_id, active,
                                   {active->stop.get_token(), shutdown_.get_token()});
  } while (absl::IsResourceExhausted(status) && WaitForRoom(active, status, ended.token()));
  RunState state = RunState::kDone;
  std::string error;
  if (shutdown_.stop_requested() && !status.ok()) {
    obs::Log(obs::Severity::kInfo, "run interrupted, it goes on at the next start",
             {{"run", active->run_id}});
    state = RunState::kRunning;
  } else if (status.code() == absl::StatusCode::kCancelled || absl::IsResourceExhausted(status)) {
    state = RunState::kStopped;
    // Nobody asked for it: its guard did it.
    if (status.code() == absl::StatusCode::kCancelled && !ended.token().stop_requested())
      error = std::string(status.message());
  } else if (!status.ok()) {
    state = RunState::kFailed;
    error = std::string(status.message());
  }
  if (state != RunState::kRunning) {
    obs::Log(
        status.ok() || state == RunState::kStopped ? obs::Severity::kInfo : obs::Severity::kError,
        "run ended", {{"run", active->run_id}, {"state", ToString(state)}, {"error", error}});
    // When the ledger itself failed, the run stays RUNNING there; ResumeRun or a restart goes on.
    absl::Status recorded;
    do {
      recorded = parts_.ledger->SetRunState(active->run_id, state, error);
    } while (absl::IsResourceExhausted(recorded) &&
             WaitForRoom(active, recorded, shutdown_.get_token()));
    if (!recorded.ok()) {
      obs::Log(obs::Severity::kError, "the run's end cannot be recorded",
               {{"run", active->run_id}, {"error", recorded.ToString()}});
    }
    active->method->OnState(active->run_id, state);
  }
  {
    MutexLock lock(&mutex_);
    active->ended = true;
    active->activity.clear();
  }
  Changed();
}

absl::StatusOr<RunStatus> RunManager::StatusOf(const RunRecord& run) {
  RunStatus status;
  status.run_id = run.run_id;
  status.spec = run.spec;
  status.state = run.state;
  status.error = run.error;
  status.start = run.start;
  status.progress = run.progress;
  status.created_ms = run.created_ms;
  status.ended_ms = run.ended_ms;
  MELLOW_ASSIGN_OR_RETURN(status.pins, parts_.ledger->Pins(run.run_id));
  MELLOW_ASSIGN_OR_RETURN(status.trips, parts_.ledger->Trips(run.run_id));
  MELLOW_ASSIGN_OR_RETURN(const std::optional<StepRecord> last,
                          parts_.ledger->LastStep(run.run_id));
  if (last) {
    status.committed_steps = last->step;
    status.adapter = last->trip ? last->trip->good : last->adapter;
    status.adapter_path = last->trip ? last->trip->good_path : last->adapter_path;
    status.last_step = last;
  } else if (run.start) {
    status.adapter = *run.start;
  }
  MutexLock lock(&mutex_);
  if (const Active* const active = Find(run.run_id); active != nullptr) {
    status.activity = active->activity;
    status.parameters = active->parameters;
  }
  return status;
}

absl::StatusOr<RunStatus> RunManager::Get(const std::string& run_id) {
  MELLOW_ASSIGN_OR_RETURN(const RunRecord run, parts_.ledger->GetRun(run_id));
  return StatusOf(run);
}

absl::StatusOr<std::vector<RunStatus>> RunManager::List() {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<RunRecord> runs, parts_.ledger->ListRuns());
  std::vector<RunStatus> list;
  for (const RunRecord& run : runs) {
    MELLOW_ASSIGN_OR_RETURN(RunStatus status, StatusOf(run));
    list.push_back(std::move(status));
  }
  return list;
}

absl::StatusOr<RunStatus> RunManager::Stop(const std::string& run_id) {
  MutexLock control(&control_mutex_);
  MELLOW_ASSIGN_OR_RETURN(const RunRecord run, parts_.ledger->GetRun(run_id));
  if (IsActive(run.run_id)) {
    std::stop_source stop;
    {
      MutexLock lock(&mutex_);
      stop = Find(run.run_id)->stop;
    }
    stop.request_stop();
  } else if (run.state == RunState::kRunning) {
    MELLOW_RETURN_IF_ERROR(parts_.ledger->SetRunState(run.run_id, RunState::kStopped, ""));
  } else if (run.state != RunState::kStopped) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run.run_id, " is ", ToString(run.state)));
  }
  return Get(run.run_id);
}

absl::StatusOr<RunStatus> RunManager::Resume(const std::string& run_id) {
  MutexLock control(&control_mutex_);
  if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
  MELLOW_ASSIGN_OR_RETURN(const RunRecord run, parts_.ledger->GetRun(run_id));
  bool stopping = false;
  {
    MutexLock lock(&mutex_);
    const Active* const active = Find(run.run_id);
    stopping = active != nullptr && !active->ended && active->stop.stop_requested();
  }
  if (stopping) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run.run_id, " is still stopping; try again"));
  }
  if (IsActive(run.run_id)) return Get(run.run_id);
  if (run.state == RunState::kDone) {
    return absl::FailedPreconditionError(absl::StrCat("run ", run.run_id, " is done"));
  }
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<RunMethod> method, read_(run.spec));
  MELLOW_RETURN_IF_ERROR(parts_.ledger->SetRunState(run.run_id, RunState::kRunning, ""));
  Launch(run.run_id, std::move(method));
  return Get(run.run_id);
}

absl::Status RunManager::Watch(const std::string& run_id, int after_step, WatchSink* sink) {
  MELLOW_ASSIGN_OR_RETURN(const RunRecord run, parts_.ledger->GetRun(run_id));
  {
    MutexLock lock(&mutex_);
    ++watchers_;
  }
  const absl::Cleanup leave = [this] {
    {
      MutexLock lock(&mutex_);
      --watchers_;
    }
    changed_.NotifyAll();
  };
  int64_t seen = -1;
  std::string shown;
  SteadyTime activity_allowed = SteadyTime::InfinitePast();
  while (!sink->cancelled()) {
    if (shutdown_.stop_requested()) return absl::UnavailableError("shutting down");
    // First whether it has ended, then the steps: so none can be missed.
    std::string activity;
    bool active = false;
    {
      MutexLock lock(&mutex_);
      seen = changes_;
      const Active* const driven = Find(run.run_id);
      active = driven != nullptr && !driven->ended;
      if (active) activity = driven->activity;
    }
    const absl::StatusOr<std::vector<StepRecord>> steps =
        parts_.ledger->Steps(run.run_id, after_step, kStepsAtOnce);
    if (!steps.ok()) return steps.status();
    for (const StepRecord& step : *steps) {
      if (!sink->OnStep(step)) return absl::CancelledError("the watcher is gone");
      after_step = step.step;
    }
    if (static_cast<int>(steps->size()) == kStepsAtOnce) continue;
    if (!active) {
      const absl::StatusOr<RunStatus> status = Get(run.run_id);
      if (!status.ok()) return status.status();
      sink->OnEnded(*status);
      return absl::OkStatus();
    }
    const SteadyTime now = SteadyTime::Now();
    if (activity != shown && now >= activity_allowed) {
      if (!sink->OnActivity(activity)) return absl::CancelledError("the watcher is gone");
      shown = activity;
      activity_allowed = now + kActivityPause;
    }
    // Wakes by itself once a second: nobody tells when the watcher goes away, or when an activity
    // may be shown.
    const SteadyTime wake = now + kActivityPause;
    MutexLock lock(&mutex_);
    while (changes_ == seen && changed_.WaitUntil(&mutex_, wake)) {
    }
  }
  return absl::CancelledError("the watcher is gone");
}

}  // namespace mellow::orchestrator
