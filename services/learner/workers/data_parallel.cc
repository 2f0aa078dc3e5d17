#include "services/learner/workers/data_parallel.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/sum_tree.h"
#include "common/rl/group_worker.h"
#include "services/learner/workers/group_round.h"

namespace mellow::learner {
namespace {

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

// What is shown has so many tokens of a query and of a response at most: enough rows for the tiles
// of every product, and little beside a mini-batch. All weights take part in it.
constexpr size_t kShownTokens = 32;

template <typename AnyRows>
void KeepBeginnings(AnyRows* rows) {
  for (auto& row : *rows) row.resize(std::min(row.size(), kShownTokens));
}

// The beginning of the first row.
template <typename Task>
Task Shown(const Task& task) {
  Task shown = rl::SliceOf(task, 0, 1);
  KeepBeginnings(&shown.sequences.query_ids);
  KeepBeginnings(&shown.sequences.response_ids);
  if constexpr (std::is_same_v<Task, rl::GradientTask>) {
    KeepBeginnings(&shown.mask);
    for (rl::Rows* rows : {&shown.old_logprobs, &shown.old_values, &shown.advantages,
                           &shown.returns, &shown.importance_weights})
      KeepBeginnings(rows);
  }
  return shown;
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

absl::StatusOr<std::vector<rl::Evaluation>> DataParallel::Evaluate(
    rl::LocalGroups* local, absl::Span<const rl::EvaluationTask> tasks) {
  for (const rl::EvaluationTask& task : tasks) {
    rl::EvaluationTask& row = evaluated_;
    row.precision = task.precision;
    row.values = row.values || task.values;
    row.logprobs = row.logprobs || task.logprobs;
    row.reference_logprobs = row.reference_logprobs || task.reference_logprobs;
    row.full_kl = row.full_kl || task.full_kl;
    row.sequences = Shown(task).sequences;
  }
  return EvaluateIn(local, tasks, /*confirm=*/false);
}

absl::StatusOr<rl::GradientAnswer> DataParallel::Gradient(rl::LocalGroups* local,
                                                          const rl::GradientTask& task) {
  trained_ = Shown(task);
  return GradientIn(local, task, /*confirm=*/false);
}

absl::Status DataParallel::Confirm(rl::LocalGroups* local) {
  // Gradients first: a worker that evaluates gives back what it keeps for backward passes.
  if (pool_.NeedsConfirmation(WorkerPool::kGradient))
    MELLOW_RETURN_IF_ERROR(GradientIn(local, trained_, /*confirm=*/true).status());
  if (pool_.NeedsConfirmation(WorkerPool::kEvaluation))
    MELLOW_RETURN_IF_ERROR(EvaluateIn(local, {&evaluated_, 1}, /*confirm=*/true).status());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<rl::Evaluation>> DataParallel::EvaluateIn(
    rl::LocalGroups* local, absl::Span<const rl::EvaluationTask> tasks, bool confirm) {
  std::vector<std::vector<double>> tokens;
  for (const rl::EvaluationTask& task : tasks) tokens.push_back(TokensOf(task.sequences));
  LazyWeights current([local] { return local->Current(); });
  LazyWeights reference([local] { return local->Reference(); });
  const auto slice = [&](const Piece& piece) {
    return rl::SliceOf(tasks[piece.task], piece.first, piece.last);
  };
  const auto remote = [&](WorkerPool::Worker* worker, const Piece& piece,
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
  GroupRound<rl::Evaluation> round(
      &pool_, WorkerPool::kEvaluation, tokens,
      [&](const Piece& piece) { return local->Evaluate(slice(piece)); }, remote, confirm);
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

absl::StatusOr<rl::GradientAnswer> DataParallel::GradientIn(rl::LocalGroups* local,
                                                            const rl::GradientTask& task,
                                                            bool confirm) {
  const size_t rows = task.sequences.size();
  LazyWeights current([local] { return local->Current(); });
  const size_t parameters = local->parameters();
  const auto slice = [&](const Piece& piece) { return rl::SliceOf(task, piece.first, piece.last); };
  const auto remote = [&](WorkerPool::Worker* worker, const Piece& piece,
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
  GroupRound<rl::GradientAnswer> round(
      &pool_, WorkerPool::kGradient, {TokensOf(task.sequences)},
      [&](const Piece& piece) { return local->Gradient(slice(piece)); }, remote, confirm);
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
