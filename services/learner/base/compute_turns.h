#ifndef MELLOW_SERVICES_LEARNER_BASE_COMPUTE_TURNS_H_
#define MELLOW_SERVICES_LEARNER_BASE_COMPUTE_TURNS_H_

#include <cstdint>
#include <functional>
#include <list>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/sync/mutex.h"

namespace mellow::learner {

// Who computes next, in the order of asking: a loop that takes one turn after the other lets
// everybody in between (a mutex would not). Thread-safe.
class ComputeTurns {
 public:
  // Holds a turn while it lives.
  class Turn {
   public:
    explicit Turn(ComputeTurns* turns) : turns_(turns) { (void)turns_->Take({}); }
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    ~Turn() {
      if (turns_ != nullptr) turns_->GiveBack();
    }
    // Lets everybody who waits go first. To be called where a long piece of work can pause.
    void Yield() {
      ComputeTurns* const turns = std::exchange(turns_, nullptr);
      turns->GiveBack();
      (void)turns->Take({});
      turns_ = turns;
    }
    Turn& operator=(Turn&&) = delete;

   private:
    friend class ComputeTurns;
    struct Taken {};
    Turn(ComputeTurns* turns, Taken) : turns_(turns) {}

    ComputeTurns* turns_;  // null: it holds none
  };

  // Waits for a turn until `gone`, which is asked now and then, says that nobody waits for what
  // comes of it anymore: Cancelled, also where it says so when the turn has come.
  [[nodiscard]] absl::StatusOr<Turn> Await(const std::function<bool()>& gone) {
    if (!Take(gone)) return absl::CancelledError("the caller cancelled");
    Turn turn(this, Turn::Taken());
    if (gone()) return absl::CancelledError("the caller cancelled");
    return turn;
  }

  // Who waits for a turn now.
  [[nodiscard]] int waiting() const {
    MutexLock lock(&mutex_);
    return queue_.empty() ? 0 : static_cast<int>(queue_.size()) - 1;
  }

 private:
  static constexpr absl::Duration kPoll = absl::Milliseconds(100);

  // False: `gone`, which may be empty, said so.
  bool Take(const std::function<bool()>& gone) {
    MutexLock lock(&mutex_);
    const uint64_t mine = next_++;
    const auto place = queue_.insert(queue_.end(), mine);
    while (queue_.front() != mine) {
      if (!gone) {
        changed_.Wait(&mutex_);
      } else if (gone()) {
        queue_.erase(place);  // not the first: whose turn it is stays as it is
        return false;
      } else {
        changed_.WaitFor(&mutex_, kPoll);
      }
    }
    return true;
  }
  void GiveBack() {
    {
      MutexLock lock(&mutex_);
      queue_.pop_front();
    }
    changed_.NotifyAll();
  }

  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<uint64_t> queue_ ABSL_GUARDED_BY(mutex_);  // the first has the turn, the others wait
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_BASE_COMPUTE_TURNS_H_
