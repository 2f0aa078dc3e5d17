#ifndef MELLOW_SERVICES_LEARNER_WORKERS_GROUP_ROUND_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_GROUP_ROUND_H_

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/leases/shard_scheduler.h"
#include "common/sync/mailbox.h"
#include "services/learner/workers/group_plan.h"
#include "services/learner/workers/worker_pool.h"

namespace mellow::learner {

// The pieces of one piece of work, until each is done once. Belongs to one thread, which runs
// mailbox_; calls and the local work run in threads of their own.
template <typename Answer>
class GroupRound {
 public:
  using Worker = WorkerPool::Worker;
  // Both from a thread of the call. `remote` checks what it got.
  using Local = std::function<Answer(const Piece& piece)>;
  using Remote =
      std::function<absl::StatusOr<Answer>(Worker* worker, const Piece& piece, std::stop_token)>;

  // `confirm`: the pieces are done here alone, and whoever helped with this kind of work in the
  // step shows that its numbers are the same: also those that were late, because they may be all
  // right. Run is Aborted when one of them cannot.
  GroupRound(WorkerPool* pool, WorkerPool::Kind kind,
             const std::vector<std::vector<double>>& tokens, Local local, Remote remote,
             bool confirm)
      : pool_(pool),
        kind_(kind),
        confirm_(confirm),
        local_(std::move(local)),
        remote_(std::move(remote)),
        pieces_(PlanPieces(tokens, Speeds())),
        answers_(pieces_.size()),
        scheduler_(Work(), LongestLease()) {
    const double speed = *pool_->local_speed(kind_);
    scheduler_.SetNode(kLocal, speed, speed > 0, 1);
    for (auto& [id, worker] : pool_->workers()) {
      if (confirm_ ? pool_->NeedsConfirmation(worker, kind_)
                   : worker.usable && pool_->NeedsCheck(worker, kind_)) {
        to_check_.push_back(&worker);
      } else if (worker.usable && !confirm_) {
        Hire(&worker);
      }
    }
  }
  ~GroupRound() { Leave(); }
  GroupRound(const GroupRound&) = delete;
  GroupRound& operator=(const GroupRound&) = delete;

  const std::vector<Piece>& pieces() const { return pieces_; }

  // By piece.
  absl::StatusOr<std::vector<Answer>> Run() {
    while (failure_.ok() && error_ == nullptr) {
      const SteadyTime now = SteadyTime::Now();
      for (const ShardScheduler::Lease& late : scheduler_.Expire(now)) {
        const auto it = flights_.find(late.id);
        if (it == flights_.end() || it->second.worker == nullptr) continue;
        pool_->Count("late");
        GiveUp(&it->second, "it is late");
      }
      for (auto& [id, flight] : flights_) {
        if (!flight.check || flight.give_up_at > now || flight.given_up) continue;
        GiveUp(&flight, "it is late to show what it computes");
        if (confirm_) Distrust(*flight.worker, "does not show what it computes");
      }
      for (const int64_t id : scheduler_.Obsolete()) {
        if (const auto it = flights_.find(id); it != flights_.end()) it->second.stop.request_stop();
      }
      if (scheduler_.done() && !Checking()) break;
      while (const auto lease = scheduler_.Next(now)) Start(*lease);
      mailbox_.RunUntil(std::min(scheduler_.NextEvent(now), NextCheckEnd()));
    }
    Leave();
    if (error_ != nullptr) std::rethrow_exception(error_);
    MELLOW_RETURN_IF_ERROR(failure_);
    return std::move(answers_);
  }

 private:
  // No node id is empty.
  static constexpr char kLocal[] = "";
  // A node whose speed nobody knows may take that long.
  static constexpr absl::Duration kLongestLease = absl::Minutes(30);
  // Where this node's own speed is known, as many times as long as it would take itself, and this.
  static constexpr double kLeaseFactor = 8;
  static constexpr absl::Duration kShortestLease = absl::Seconds(30);
  // A check may take as many times as long as it took here, and at least this. That after a step
  // may take as long as a lease, because the step is lost with it; but who was late before has had
  // its time.
  static constexpr double kCheckFactor = 4;
  static constexpr absl::Duration kShortestCheck = absl::Seconds(2);
  // The weight of the newest group in the moving average of a speed.
  static constexpr double kSpeedWeight = 0.5;

  struct Flight {
    ShardScheduler::Lease lease;
    Worker* worker = nullptr;             // null: here
    bool check = false;                   // its answer is only compared
    std::optional<Answer> expected, got;  // of a check
    SteadyTime give_up_at = SteadyTime::InfiniteFuture();
    bool given_up = false;
    std::stop_source stop;
    std::jthread thread;  // last: joined before the rest goes
  };

  // What is shown after a step is too short to say anything of a speed.
  void Measure(double tokens, absl::Duration took, double* speed) const {
    if (confirm_) return;
    const double seconds = absl::ToDoubleSeconds(took);
    if (seconds <= 0) return;
    *speed = *speed == 0 ? tokens / seconds
                         : kSpeedWeight * tokens / seconds + (1 - kSpeedWeight) * *speed;
  }
  std::vector<double> Speeds() const {
    const double local = *pool_->local_speed(kind_) > 0 ? *pool_->local_speed(kind_) : 1;
    std::vector<double> speeds = {local};
    for (const auto& [id, worker] : pool_->workers()) {
      if (!worker.usable || pool_->NeedsCheck(worker, kind_)) continue;
      speeds.push_back(worker.speed[kind_] > 0 ? worker.speed[kind_] : local);
    }
    return speeds;
  }
  std::vector<double> Work() const {
    std::vector<double> work;
    for (const Piece& piece : pieces_) work.push_back(std::max(1.0, piece.tokens));
    return work;
  }
  // How long a worker may take whose speed nobody knows.
  absl::Duration LongestLease() const {
    const std::vector<double> work = Work();
    const double speed = *pool_->local_speed(kind_);
    if (speed <= 0 || work.empty()) return kLongestLease;
    const double alone = *std::max_element(work.begin(), work.end()) / speed;
    return std::min(kLongestLease, kShortestLease + absl::Seconds(kLeaseFactor * alone));
  }
  void Hire(Worker* worker) {
    hired_[worker->node.node_id] = worker;
    scheduler_.SetNode(worker->node.node_id, worker->speed[kind_], worker->speed[kind_] > 0, 1);
  }
  bool Checking() const {
    return std::any_of(flights_.begin(), flights_.end(), [](const auto& entry) {
      return entry.second.check && !entry.second.given_up;
    });
  }
  SteadyTime NextCheckEnd() const {
    SteadyTime next = SteadyTime::InfiniteFuture();
    for (const auto& [id, flight] : flights_) {
      if (flight.check && !flight.given_up) next = std::min(next, flight.give_up_at);
    }
    return next;
  }
  void GiveUp(Flight* flight, absl::string_view why) {
    flight->given_up = true;
    flight->stop.request_stop();
    scheduler_.PauseNode(flight->worker->node.node_id);
    pool_->Drop(flight->worker, why);
  }
  absl::Duration LongestCheck(const Worker& worker, absl::Duration took_here) const {
    return confirm_ && worker.usable ? kShortestLease + kLeaseFactor * took_here
                                     : std::max(kShortestCheck, kCheckFactor * took_here);
  }
  // The step cannot count: the worker helped.
  void Distrust(const Worker& worker, absl::string_view why) {
    failure_ =
        absl::AbortedError(absl::StrCat("learner worker ", worker.node.node_id, " helped and ", why,
                                        ": the step is to be done again from the checkpoint"));
  }
  void Leave() {
    for (auto& [id, flight] : flights_) flight.stop.request_stop();
    flights_.clear();
  }

  void Start(const ShardScheduler::Lease& lease) {
    if (lease.node != kLocal) return Call(lease.id, lease, hired_.at(lease.node), /*check=*/false);
    // What is computed here anyway is what the others are compared with.
    for (Worker* const worker : std::exchange(to_check_, {}))
      Call(--next_check_, lease, worker, /*check=*/true);
    Flight& flight = flights_[lease.id];
    flight.lease = lease;
    flight.thread = std::jthread([this, lease] {
      const SteadyTime begin = SteadyTime::Now();
      auto answer = std::make_shared<std::optional<Answer>>();
      std::exception_ptr error;
      try {
        *answer = local_(pieces_[static_cast<size_t>(lease.shard)]);
      } catch (...) {
        error = std::current_exception();
      }
      const absl::Duration took = SteadyTime::Now() - begin;
      mailbox_.Post([this, lease, answer, error, took] {
        if (error != nullptr) {
          error_ = error;
          return;
        }
        OnLocal(lease, std::move(**answer), took);
      });
    });
  }

  void Call(int64_t id, const ShardScheduler::Lease& lease, Worker* worker, bool check) {
    Flight& flight = flights_[id];
    flight.lease = lease;
    flight.worker = worker;
    flight.check = check;
    flight.thread =
        std::jthread([this, id, worker, shard = lease.shard, stop = flight.stop.get_token()] {
          const SteadyTime begin = SteadyTime::Now();
          auto answer = std::make_shared<absl::StatusOr<Answer>>();
          try {
            *answer = remote_(worker, pieces_[static_cast<size_t>(shard)], stop);
          } catch (const std::exception& error) {
            *answer = absl::InternalError(error.what());
          }
          const absl::Duration took = SteadyTime::Now() - begin;
          mailbox_.Post([this, id, answer, took] { OnAnswer(id, std::move(*answer), took); });
        });
  }

  void OnLocal(const ShardScheduler::Lease& lease, Answer answer, absl::Duration took) {
    flights_.erase(lease.id);
    const size_t piece = static_cast<size_t>(lease.shard);
    Measure(pieces_[piece].tokens, took, pool_->local_speed(kind_));
    scheduler_.SetNode(kLocal, *pool_->local_speed(kind_), true, 1);
    std::vector<int64_t> compared;
    for (auto& [id, flight] : flights_) {
      if (!flight.check || flight.lease.shard != lease.shard) continue;
      flight.expected = answer;
      flight.give_up_at = SteadyTime::Now() + LongestCheck(*flight.worker, took);
      compared.push_back(id);
    }
    if (scheduler_.Complete(lease) == ShardScheduler::Completion::kFirst)
      answers_[piece] = std::move(answer);
    for (const int64_t id : compared) Compare(id);
  }

  void OnAnswer(int64_t id, absl::StatusOr<Answer> answer, absl::Duration took) {
    Flight& flight = flights_.at(id);
    Worker* const worker = flight.worker;
    const size_t piece = static_cast<size_t>(flight.lease.shard);
    if (!answer.ok()) {
      // Given up because another was faster, or by us for being late: that is said already.
      const bool failed =
          !flight.given_up && (flight.check || !scheduler_.shard_done(flight.lease.shard));
      const bool check = flight.check;
      flights_.erase(id);
      if (!check) scheduler_.Fail(id);
      if (!failed) return;
      scheduler_.PauseNode(worker->node.node_id);
      pool_->Count("failed");
      if (confirm_) Distrust(*worker, absl::StrCat("is lost: ", answer.status().ToString()));
      return pool_->Drop(worker, answer.status().ToString());
    }
    if (!flight.given_up) Measure(pieces_[piece].tokens, took, &worker->speed[kind_]);
    if (flight.check) {
      flight.got = *std::move(answer);
      return Compare(id);
    }
    const ShardScheduler::Lease lease = flight.lease;
    const bool late = flight.given_up;
    flights_.erase(id);
    if (!late) scheduler_.SetNode(worker->node.node_id, worker->speed[kind_], true, 1);
    if (scheduler_.Complete(lease) == ShardScheduler::Completion::kDuplicate) return;
    pool_->Count("done");
    worker->helped[kind_] = true;
    answers_[piece] = *std::move(answer);
  }

  void Compare(int64_t id) {
    const auto it = flights_.find(id);
    if (it == flights_.end() || !it->second.expected || !it->second.got) return;
    Worker* const worker = it->second.worker;
    const bool same = *it->second.expected == *it->second.got;
    const bool given_up = it->second.given_up;
    flights_.erase(it);
    if (same) {
      worker->checked[kind_] = true;
      if (!given_up && !confirm_) Hire(worker);
      return;
    }
    pool_->Count("wrong");
    pool_->Refuse(worker, "its numbers are not those that this learner computes");
    if (confirm_) Distrust(*worker, "answers with other numbers than this learner computes");
  }

  WorkerPool* const pool_;
  const WorkerPool::Kind kind_;
  const bool confirm_;
  const Local local_;
  const Remote remote_;
  const std::vector<Piece> pieces_;
  std::vector<Answer> answers_;
  ShardScheduler scheduler_;
  std::map<std::string, Worker*> hired_;
  std::vector<Worker*> to_check_;
  Mailbox mailbox_;
  absl::Status failure_;
  std::exception_ptr error_;           // of the local work
  int64_t next_check_ = 0;             // checks have numbers below zero
  std::map<int64_t, Flight> flights_;  // by lease or check; last: joined before the rest goes
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_GROUP_ROUND_H_
