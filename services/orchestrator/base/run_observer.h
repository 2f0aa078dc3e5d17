#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_OBSERVER_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_OBSERVER_H_

#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "common/sync/mutex.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// How a run is asked to end.
struct RunSignals {
  std::stop_token stop;      // after the phase in progress; what was begun is finished and recorded
  std::stop_token shutdown;  // now: calls are cancelled; the run goes on when the process is back
};

// What everything that a run does ends with when it is asked to end, either way.
inline absl::Status AskedToStop() { return absl::CancelledError("the run was asked to stop"); }

// Who is told how a run goes. Called from several threads.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  // What it does now, for people: "step 3: generate 12/32".
  virtual void OnActivity(const std::string& activity) = 0;
  virtual void OnStep(const StepRecord& step) = 0;
  // The learner has opened the run.
  virtual void OnOpened(const ParameterCounts& parameters) = 0;
};

// Two things that go on at the same time, told as one: "step 2: train; step 3: generate 12/32".
// Thread-safe.
class JoinedActivity {
 public:
  explicit JoinedActivity(RunObserver* whole) : whole_(whole) {}

  // What to hand to each; the second's text is forgotten with ClearSecond.
  RunObserver* first() { return &first_; }
  RunObserver* second() { return &second_; }
  void ClearSecond() {
    MutexLock lock(&mutex_);
    second_.text.clear();
  }

 private:
  struct Half : RunObserver {
    explicit Half(JoinedActivity* joined) : joined(joined) {}
    void OnActivity(const std::string& activity) override { joined->Set(this, activity); }
    void OnStep(const StepRecord& step) override { joined->whole_->OnStep(step); }
    void OnOpened(const ParameterCounts& parameters) override {
      joined->whole_->OnOpened(parameters);
    }
    JoinedActivity* const joined;
    std::string text;  // guarded by joined->mutex_
  };

  void Set(Half* half, const std::string& activity) {
    MutexLock lock(&mutex_);
    half->text = activity;
    whole_->OnActivity(second_.text.empty() ? first_.text : first_.text + "; " + second_.text);
  }

  RunObserver* const whole_;
  Mutex mutex_;
  Half first_{this};
  Half second_{this};
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_OBSERVER_H_
