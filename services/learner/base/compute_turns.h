#ifndef MELLOW_SERVICES_LEARNER_BASE_COMPUTE_TURNS_H_
#define MELLOW_SERVICES_LEARNER_BASE_COMPUTE_TURNS_H_

#include <cstdint>

#include "common/sync/mutex.h"

namespace mellow::learner {

// Who computes next, in the order of asking: a loop that takes one turn after the other lets
// everybody in between (a mutex would not). Thread-safe.
class ComputeTurns {
 public:
  // Holds a turn while it lives.
  class Turn {
   public:
    explicit Turn(ComputeTurns* turns) : turns_(turns) { Take(); }
    ~Turn() { GiveBack(); }
    // Lets everybody who waits go first. To be called where a long piece of work can pause.
    void Yield() {
      GiveBack();
      Take();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    void Take() {
      MutexLock lock(&turns_->mutex_);
      const uint64_t mine = turns_->next_++;
      while (turns_->serving_ != mine) turns_->changed_.Wait(&turns_->mutex_);
    }
    void GiveBack() {
      {
        MutexLock lock(&turns_->mutex_);
        ++turns_->serving_;
      }
      turns_->changed_.NotifyAll();
    }

    ComputeTurns* const turns_;
  };

  // Who waits for a turn now.
  [[nodiscard]] int waiting() const {
    MutexLock lock(&mutex_);
    return next_ == serving_ ? 0 : static_cast<int>(next_ - serving_) - 1;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t serving_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_COMPUTE_TURNS_H_
