#ifndef MELLOW_SERVICES_LEARNER_BASE_COMPUTE_PROGRESS_H_
#define MELLOW_SERVICES_LEARNER_BASE_COMPUTE_PROGRESS_H_

#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/sync/work_progress.h"

namespace mellow::learner {

// Whether somebody who trains gets on, a mini-batch or a checkpoint a piece. Those of a large model
// take minutes on a CPU, the first ones too. Used as WorkProgress.
class ComputeProgress {
 public:
  // There is work while this lives. One at a time.
  class Work {
   public:
    explicit Work(ComputeProgress* progress) : progress_(&progress->progress_) {
      progress_->Begin(SteadyTime::Now());
    }
    ~Work() { progress_->Idle(); }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    // A piece of it is done.
    void Advance() { progress_->Advance(SteadyTime::Now()); }
    // Others have their turn from here to Resume.
    void Pause() { progress_->Idle(); }
    void Resume() { progress_->Begin(SteadyTime::Now()); }

   private:
    WorkProgress* const progress_;
  };

  // As WorkProgress::Stalled.
  [[nodiscard]] absl::Duration Stalled(SteadyTime now) const { return progress_.Stalled(now); }

 private:
  WorkProgress progress_{absl::Minutes(10)};
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_COMPUTE_PROGRESS_H_
