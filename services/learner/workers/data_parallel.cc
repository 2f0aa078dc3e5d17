#include "services/learner/workers/data_parallel.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/base/sum_tree.h"
#include "common/leases/shard_scheduler.h"
#include "common/obs/log.h"
#include "common/rl/group_worker.h"
#include "common/sync/mailbox.h"
#include "services/learner/workers/group_plan.h"

namespace mellow::learner {
namespace {

// No node id is empty.
constexpr char kLocal[] = "";
// A node whose speed nobody knows may take that long.
constexpr absl::Duration kLongestLease = absl::Minutes(30);
// Where this node's own speed is known, as many times as long as it would take itself, and this.
constexpr double kLeaseFactor = 8;
constexpr absl::Duration kShortestLease = absl::Seconds(30);
// A check may take as many times as long as it took here, and at least this.
constexpr double kCheckFactor = 4;
constexpr absl::Duration kShortestCheck = absl::Seconds(2);
// The weight of the newest group in the moving average of a speed.
constexpr double kSpeedWeight = 0.5;
// Steps that a worker rests at most.
constexpr int kLongestRest = 64;

void Measure(double tokens, absl::Duration took, double* speed) {
  const double seconds = absl::ToDoubleSeconds(took);
  if (seconds <= 0) return;
  *speed = *speed == 0 ? tokens / seconds
                       : kSpeedWeight * tokens / seconds + (1 - kSpeedWeight) * *speed;
}

// Weights packed by the first that needs them, for all calls of a round.
class LazyWeights {
 public:
  explicit LazyWeights(std::function<rl::TrainedWeights()> read) : read_(std::move(read)) {}
  const PackedWeights& Get() {
    std::call_once(once_, [this] { packed_ = Pack(read_()); });
    return packed_;
  }

 private:
  const std::function<rl::TrainedWeights()> read_;
  std::once_flag once_;
  PackedWeights packed_;
};

absl::Status CheckRows(const rl::Rows& rows, bool wanted, const rl::Sequences& sequences,
                       absl::string_view what) {
  if (rows.size() != (wanted ? sequences.size() : 0))
    return absl::InternalError(
        absl::StrCat(rows.size(), " rows of ", what, " for ", sequences.size(), " sequences"));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].size() != sequences.response_ids[i].size())
      return absl::InternalError(absl::StrCat(rows[i].size(), " ", what, " for ",
                                              sequences.response_ids[i].size(), " tokens"));
    if (!std::all_of(rows[i].begin(), rows[i].end(), [](float x) { return std::isfinite(x); }))
      return absl::InternalError(absl::StrCat(what, ": a number is not finite"));
  }
  return absl::OkStatus();
}

absl::Status CheckAnswer(const rl::EvaluationTask& task, const rl::Evaluation& answer) {
  MELLOW_RETURN_IF_ERROR(CheckRows(answer.values, task.values, task.sequences, "values"));
  MELLOW_RETURN_IF_ERROR(CheckRows(answer.logprobs, task.logprobs, task.sequences, "logprobs"));
  MELLOW_RETURN_IF_ERROR(CheckRows(answer.reference_logprobs, task.reference_logprobs,
                                   task.sequences, "reference_logprobs"));
  return CheckRows(answer.full_kl, task.full_kl, task.sequences, "full_kl");
}

absl::Status CheckAnswer(const rl::GradientTask& task, size_t parameters,
                         const rl::GradientAnswer& answer) {
  MELLOW_RETURN_IF_ERROR(CheckRows(answer.values, true, task.sequences, "values"));
  MELLOW_RETURN_IF_ERROR(CheckRows(answer.logprobs, true, task.sequences, "logprobs"));
  MELLOW_RETURN_IF_ERROR(CheckRows(answer.entropies, true, task.sequences, "entropies"));
  if (answer.gradient.size() != parameters)
    return absl::InternalError(absl::StrCat("a gradient of ", answer.gradient.size(),
                                            " numbers, the parameters are ", parameters));
  if (!std::all_of(answer.gradient.begin(), answer.gradient.end(),
                   [](float x) { return std::isfinite(x); }))
    return absl::InternalError("gradient: a number is not finite");
  return absl::OkStatus();
}

std::vector<double> TokensOf(const rl::Sequences& sequences) {
  std::vector<double> tokens;
  for (size_t i = 0; i < sequences.size(); ++i)
    tokens.push_back(static_cast<double>(sequences.tokens(i)));
  return tokens;
}

// Puts the rows of a piece into their places.
void Place(rl::Rows part, size_t first, size_t rows, rl::Rows* all) {
  if (part.empty()) return;
  all->resize(rows);
  std::move(part.begin(), part.end(), all->begin() + static_cast<ptrdiff_t>(first));
}

// A call with weights that the worker is sent when it lacks them.
template <typename Result, typename Call>
absl::StatusOr<Result> CallWith(GradientPeer* peer, std::set<std::string>* has,
                                const std::vector<LazyWeights*>& weights, std::stop_token stop,
                                const Call& call) {
  for (int attempt = 0;; ++attempt) {
    for (LazyWeights* const each : weights) {
      const PackedWeights& packed = each->Get();
      if (packed.sha256.empty() || has->contains(packed.sha256)) continue;
      MELLOW_RETURN_IF_ERROR(peer->PutWeights(packed, stop));
      // It has forgotten the oldest by itself, and says so when it is asked with them.
      if (has->size() >= 2 * rl::GroupWorker::kKept) has->clear();
      has->insert(packed.sha256);
    }
    absl::StatusOr<Result> result = call();
    if (attempt > 0 || !absl::IsFailedPrecondition(result.status())) return result;
    has->clear();  // it restarted, or had others to keep
  }
}

}  // namespace

// The pieces of one piece of work, until each is done once. Belongs to one thread, which runs
// mailbox_; calls and the local work run in threads of their own.
template <typename Answer>
class DataParallel::Round {
 public:
  // Both from a thread of the call. `remote` checks what it got.
  using Local = std::function<Answer(const Piece& piece)>;
  using Remote =
      std::function<absl::StatusOr<Answer>(Worker* worker, const Piece& piece, std::stop_token)>;

  Round(DataParallel* owner, Kind kind, const std::vector<std::vector<double>>& tokens, Local local,
        Remote remote)
      : owner_(owner),
        kind_(kind),
        local_(std::move(local)),
        remote_(std::move(remote)),
        pieces_(PlanPieces(tokens, Speeds())),
        answers_(pieces_.size()),
        scheduler_(Work(), LongestLease()) {
    const double speed = owner_->local_speed_[kind_];
    scheduler_.SetNode(kLocal, speed, speed > 0, 1);
    for (auto& [id, worker] : owner_->workers_) {
      if (!worker.usable) continue;
      if (NeedsCheck(worker)) {
        to_check_.push_back(&worker);
      } else {
        Hire(&worker);
      }
      ++worker.rounds[kind_];
    }
  }
  ~Round() { Leave(); }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  const std::vector<Piece>& pieces() const { return pieces_; }

  // By piece.
  absl::StatusOr<std::vector<Answer>> Run() {
    while (failure_.ok() && error_ == nullptr) {
      const SteadyTime now = SteadyTime::Now();
      for (const ShardScheduler::Lease& late : scheduler_.Expire(now)) {
        const auto it = flights_.find(late.id);
        if (it == flights_.end() || it->second.worker == nullptr) continue;
        owner_->Count("late");
        GiveUp(&it->second, "it is late");
      }
      for (auto& [id, flight] : flights_) {
        if (flight.check && flight.give_up_at <= now && !flight.given_up)
          GiveUp(&flight, "it is late to show what it computes");
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

  bool NeedsCheck(const Worker& worker) const {
    return owner_->SameBits(worker) &&
           (!worker.checked[kind_] || worker.rounds[kind_] >= kCheckEvery);
  }
  std::vector<double> Speeds() const {
    const double local = owner_->local_speed_[kind_] > 0 ? owner_->local_speed_[kind_] : 1;
    std::vector<double> speeds = {local};
    for (const auto& [id, worker] : owner_->workers_) {
      if (!worker.usable || NeedsCheck(worker)) continue;
      speeds.push_back(worker.speed[kind_] > 0 ? worker.speed[kind_] : local);
    }
    return speeds;
  }
  std::vector<double> Work() const {
    std::vector<double> work;
    for (const Piece& piece : pieces_) work.push_back(std::max(1.0, piece.tokens));
    return work;
  }
  // Of a worker whose speed nobody knows.
  absl::Duration LongestLease() const {
    const std::vector<double> work = Work();
    const double speed = owner_->local_speed_[kind_];
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
    owner_->Drop(flight->worker, why);
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
    Measure(pieces_[piece].tokens, took, &owner_->local_speed_[kind_]);
    scheduler_.SetNode(kLocal, owner_->local_speed_[kind_], true, 1);
    std::vector<int64_t> compared;
    for (auto& [id, flight] : flights_) {
      if (!flight.check || flight.lease.shard != lease.shard) continue;
      flight.expected = answer;
      flight.give_up_at = SteadyTime::Now() + std::max(kShortestCheck, kCheckFactor * took);
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
      owner_->Count("failed");
      return owner_->Drop(worker, answer.status().ToString());
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
    owner_->Count("done");
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
      worker->rounds[kind_] = 0;
      if (!given_up) Hire(worker);
      return;
    }
    owner_->Count("wrong");
    const bool passed_before = worker->checked[kind_];
    owner_->Refuse(worker, "its numbers are not those that this learner computes");
    if (passed_before)
      failure_ = absl::AbortedError(absl::StrCat(
          "learner worker ", worker->node.node_id,
          " answers with other numbers than before: the step is to be done again without it"));
  }

  DataParallel* const owner_;
  const Kind kind_;
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

DataParallel::DataParallel(Connect connect, bool on_cpu, obs::Metrics* metrics)
    : connect_(std::move(connect)), on_cpu_(on_cpu), metrics_(metrics) {
  workers_gauge_ =
      metrics->AddGauge("mellow_learner_workers", "Learner workers that helped with the last step");
  for (const char* result : {"done", "failed", "late", "wrong"})
    (void)metrics_->AddCounter("mellow_learner_groups_total",
                               "Groups that went to learner workers, by outcome",
                               {{"result", result}});
}

DataParallel::~DataParallel() = default;

void DataParallel::Count(const char* result) {
  metrics_
      ->AddCounter("mellow_learner_groups_total", "Groups that went to learner workers, by outcome",
                   {{"result", result}})
      .Increment();
}

bool DataParallel::SameBits(const Worker& worker) const {
  return on_cpu_ && !absl::StartsWith(worker.node.device, "cuda");
}

void DataParallel::Drop(Worker* worker, absl::string_view why) {
  worker->usable = false;
  worker->failed = true;
  obs::Log(obs::Severity::kWarning, "learner worker left out of the step",
           {{"node", worker->node.node_id},
            {"address", worker->node.address},
            {"reason", std::string(why)}});
}

void DataParallel::Refuse(Worker* worker, absl::string_view why) {
  worker->usable = false;
  worker->refused = std::string(why);
  obs::Log(obs::Severity::kError, "learner worker refused until it restarts",
           {{"node", worker->node.node_id},
            {"address", worker->node.address},
            {"reason", worker->refused}});
}

bool DataParallel::Begin(const std::string& run_id, absl::Span<const WorkerNode> nodes) {
  std::map<std::string, Worker> workers;
  int usable = 0;
  for (const WorkerNode& node : nodes) {
    Worker& worker = workers[node.node_id];
    const auto known = workers_.find(node.node_id);
    if (known != workers_.end() && known->second.node.incarnation == node.incarnation &&
        known->second.node.address == node.address) {
      worker = std::move(known->second);
    } else {
      worker.peer = connect_(node);
    }
    worker.node = node;
    if (run_id != run_id_) std::fill_n(worker.checked, int{kKinds}, false);
    if (worker.failed) {
      // Once is nothing; who fails in every step rests for longer and longer.
      ++worker.failures;
      worker.rest = std::min(kLongestRest, (1 << std::min(worker.failures, 16)) - 2);
    } else if (worker.usable) {
      worker.failures = 0;
    }
    worker.failed = false;
    worker.usable = worker.refused.empty() && worker.rest == 0;
    if (worker.rest > 0) --worker.rest;
    usable += worker.usable ? 1 : 0;
  }
  workers_ = std::move(workers);
  run_id_ = run_id;
  workers_gauge_.Set(usable);
  return usable > 0;
}

absl::StatusOr<std::vector<rl::Evaluation>> DataParallel::Evaluate(
    rl::LocalGroups* local, absl::Span<const rl::EvaluationTask> tasks) {
  std::vector<std::vector<double>> tokens;
  for (const rl::EvaluationTask& task : tasks) tokens.push_back(TokensOf(task.sequences));
  LazyWeights current([local] { return local->Current(); });
  LazyWeights reference([local] { return local->Reference(); });
  const auto slice = [&](const Piece& piece) {
    return rl::SliceOf(tasks[piece.task], piece.first, piece.last);
  };
  const auto remote = [&](Worker* worker, const Piece& piece,
                          std::stop_token stop) -> absl::StatusOr<rl::Evaluation> {
    const rl::EvaluationTask task = slice(piece);
    // What no part of the task needs is neither packed nor sent.
    std::vector<LazyWeights*> weights;
    if (task.needs_current()) weights.push_back(&current);
    if (task.needs_reference()) weights.push_back(&reference);
    MELLOW_ASSIGN_OR_RETURN(
        rl::Evaluation answer,
        CallWith<rl::Evaluation>(worker->peer.get(), &worker->has, weights, stop, [&] {
          return worker->peer->Evaluate(task.needs_current() ? current.Get().sha256 : "",
                                        task.needs_reference() ? reference.Get().sha256 : "", task,
                                        stop);
        }));
    MELLOW_RETURN_IF_ERROR(CheckAnswer(task, answer));
    return answer;
  };
  Round<rl::Evaluation> round(
      this, kEvaluation, tokens, [&](const Piece& piece) { return local->Evaluate(slice(piece)); },
      remote);
  MELLOW_ASSIGN_OR_RETURN(std::vector<rl::Evaluation> parts, round.Run());
  std::vector<rl::Evaluation> out(tasks.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const Piece& piece = round.pieces()[i];
    const size_t rows = tasks[piece.task].sequences.size();
    rl::Evaluation& to = out[piece.task];
    Place(std::move(parts[i].values), piece.first, rows, &to.values);
    Place(std::move(parts[i].logprobs), piece.first, rows, &to.logprobs);
    Place(std::move(parts[i].reference_logprobs), piece.first, rows, &to.reference_logprobs);
    Place(std::move(parts[i].full_kl), piece.first, rows, &to.full_kl);
  }
  return out;
}

absl::StatusOr<rl::GradientAnswer> DataParallel::Gradient(rl::LocalGroups* local,
                                                          const rl::GradientTask& task) {
  const size_t rows = task.sequences.size();
  LazyWeights current([local] { return local->Current(); });
  const size_t parameters = local->parameters();
  const auto slice = [&](const Piece& piece) { return rl::SliceOf(task, piece.first, piece.last); };
  const auto remote = [&](Worker* worker, const Piece& piece,
                          std::stop_token stop) -> absl::StatusOr<rl::GradientAnswer> {
    const rl::GradientTask part = slice(piece);
    MELLOW_ASSIGN_OR_RETURN(
        rl::GradientAnswer answer,
        CallWith<rl::GradientAnswer>(worker->peer.get(), &worker->has, {&current}, stop, [&] {
          return worker->peer->Gradient(current.Get().sha256, part, stop);
        }));
    MELLOW_RETURN_IF_ERROR(CheckAnswer(part, parameters, answer));
    return answer;
  };
  Round<rl::GradientAnswer> round(
      this, kGradient, {TokensOf(task.sequences)},
      [&](const Piece& piece) { return local->Gradient(slice(piece)); }, remote);
  MELLOW_ASSIGN_OR_RETURN(std::vector<rl::GradientAnswer> parts, round.Run());
  rl::GradientAnswer out;
  std::map<std::pair<size_t, size_t>, std::vector<float>*> known;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Piece& piece = round.pieces()[i];
    Place(std::move(parts[i].logprobs), piece.first, rows, &out.logprobs);
    Place(std::move(parts[i].values), piece.first, rows, &out.values);
    Place(std::move(parts[i].entropies), piece.first, rows, &out.entropies);
    known[{piece.first, piece.last}] = &parts[i].gradient;
  }
  std::vector<std::vector<float>> slots(static_cast<size_t>(SumTreeSlots(rows)));
  const auto take = [&](size_t first, size_t last, int slot) {
    const auto it = known.find({first, last});
    if (it == known.end()) return false;
    slots[static_cast<size_t>(slot)] = std::move(*it->second);
    return true;
  };
  const auto add = [&](int slot) {
    std::vector<float>& to = slots[static_cast<size_t>(slot)];
    const std::vector<float>& from = slots[static_cast<size_t>(slot) + 1];
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  SumTree(size_t{0}, rows, 0, take, add);
  out.gradient = std::move(slots[0]);
  return out;
}

}  // namespace mellow::learner
