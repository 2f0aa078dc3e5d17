#include "common/rl/group_worker.h"

#include <algorithm>
#include <list>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/weights/finite.h"
#include "common/rl/group_engine.h"

namespace mellow::rl {
namespace {

absl::Status Bad(absl::string_view field, size_t row, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": row ", row, " ", what));
}

// More than any mini-batch, and less than what memory is granted for and then not there.
constexpr size_t kMostTokens = size_t{1} << 20;

absl::Status CheckIds(absl::string_view field, const std::vector<std::vector<int32_t>>& rows,
                      int vocab_size) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].empty()) return Bad(field, i, "is empty");
    for (const int32_t id : rows[i]) {
      if (id < 0 || id >= vocab_size)
        return Bad(field, i, absl::StrCat("holds id ", id, ", the vocabulary has ", vocab_size));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSequences(const Sequences& sequences, int vocab_size) {
  if (sequences.query_ids.empty()) return absl::InvalidArgumentError("sequences: there are none");
  if (sequences.response_ids.size() != sequences.query_ids.size())
    return absl::InvalidArgumentError(absl::StrCat("sequences: ", sequences.query_ids.size(),
                                                   " queries and ", sequences.response_ids.size(),
                                                   " responses"));
  if (sequences.tokens() > kMostTokens)
    return absl::InvalidArgumentError(
        absl::StrCat("sequences: ", sequences.tokens(), " tokens, at most ", kMostTokens));
  MELLOW_RETURN_IF_ERROR(CheckIds("query_ids", sequences.query_ids, vocab_size));
  return CheckIds("response_ids", sequences.response_ids, vocab_size);
}

template <typename AnyRows>
absl::Status CheckShape(absl::string_view field, const AnyRows& rows, const Sequences& sequences) {
  if (rows.size() != sequences.size())
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", rows.size(), " rows for ", sequences.size(), " sequences"));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].size() != sequences.response_ids[i].size())
      return Bad(field, i,
                 absl::StrCat("has ", rows[i].size(), " numbers for ",
                              sequences.response_ids[i].size(), " response tokens"));
  }
  return absl::OkStatus();
}

absl::Status CheckTask(const GradientTask& task) {
  MELLOW_RETURN_IF_ERROR(CheckShape("mask", task.mask, task.sequences));
  for (const auto& [field, rows] :
       {std::pair("old_logprobs", &task.old_logprobs), std::pair("old_values", &task.old_values),
        std::pair("advantages", &task.advantages), std::pair("returns", &task.returns),
        std::pair("importance_weights", &task.importance_weights)}) {
    if (rows == &task.importance_weights && rows->empty()) continue;
    MELLOW_RETURN_IF_ERROR(CheckShape(field, *rows, task.sequences));
  }
  return absl::OkStatus();
}

}  // namespace

class GroupWorker::Impl {
 public:
  Impl(std::string folder, const train::TrainerOptions& options)
      : folder_(std::move(folder)), options_(options) {}

  // Without weights, the base model in this precision.
  absl::Status Load(nn::WeightType precision) {
    if (model_ != nullptr && precision == options_.precision) return absl::OkStatus();
    kept_.clear();
    base_.reset();
    model_.reset();
    options_.precision = precision;
    MELLOW_ASSIGN_OR_RETURN(
        auto model, nn::TrainableT5::Load(folder_, options_.device, options_.threads, precision));
    base_.emplace(DeviceWeights{nn::TorchLora(model->modules()), {}, {}});
    config_ = model->config();
    model_ = std::move(model);  // last: with it everything is there
    return absl::OkStatus();
  }
  absl::Status Load() { return Load(options_.precision); }
  const nn::T5Config& config() const { return config_; }
  nn::TrainableT5& model() { return *model_; }
  bool Has(const std::string& name) const {
    return std::any_of(kept_.begin(), kept_.end(),
                       [&](const auto& entry) { return entry.first == name; });
  }
  void Put(const std::string& name, DeviceWeights weights) {
    kept_.remove_if([&](const auto& entry) { return entry.first == name; });
    while (kept_.size() >= kKept) kept_.pop_back();
    kept_.emplace_front(name, std::move(weights));
  }
  // Makes it the newest.
  absl::StatusOr<const DeviceWeights*> Find(const std::string& name) {
    if (name.empty()) return &*base_;
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
      if (it->first != name) continue;
      kept_.splice(kept_.begin(), kept_, it);
      return &kept_.front().second;
    }
    return absl::FailedPreconditionError(
        absl::StrCat("weights ", name, ": not here, put them first"));
  }

 private:
  const std::string folder_;
  train::TrainerOptions options_;
  std::unique_ptr<nn::TrainableT5> model_;  // null after a failed Load
  std::optional<DeviceWeights> base_;
  nn::T5Config config_;
  std::list<std::pair<std::string, DeviceWeights>> kept_;  // the newest first
};

GroupWorker::GroupWorker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GroupWorker::~GroupWorker() = default;

absl::StatusOr<std::unique_ptr<GroupWorker>> GroupWorker::Create(
    const std::string& model_folder, const train::TrainerOptions& options) {
  return nn::CatchTorch([&]() -> absl::StatusOr<std::unique_ptr<GroupWorker>> {
    auto impl = std::make_unique<Impl>(model_folder, options);
    MELLOW_RETURN_IF_ERROR(impl->Load(options.precision));
    return std::unique_ptr<GroupWorker>(new GroupWorker(std::move(impl)));
  });
}

const nn::T5Config& GroupWorker::model_config() const { return impl_->config(); }
bool GroupWorker::Has(const std::string& name) const { return impl_->Has(name); }

absl::Status GroupWorker::PutWeights(const std::string& name, const TrainedWeights& weights) {
  return nn::CatchTorch([&]() -> absl::Status {
    MELLOW_RETURN_IF_ERROR(impl_->Load());
    MELLOW_ASSIGN_OR_RETURN(DeviceWeights on_device, ToDevice(impl_->model(), weights));
    impl_->Put(name, std::move(on_device));
    return absl::OkStatus();
  });
}

absl::StatusOr<Evaluation> GroupWorker::Evaluate(const std::string& current,
                                                 const std::string& reference,
                                                 const EvaluationTask& task) {
  MELLOW_RETURN_IF_ERROR(CheckSequences(task.sequences, model_config().vocab_size));
  return nn::CatchTorch([&]() -> absl::StatusOr<Evaluation> {
    MELLOW_RETURN_IF_ERROR(impl_->Load(task.precision));
    MELLOW_ASSIGN_OR_RETURN(const DeviceWeights* const base,
                            impl_->Find(task.needs_reference() ? reference : ""));
    MELLOW_ASSIGN_OR_RETURN(const DeviceWeights* const weights,
                            impl_->Find(task.needs_current() ? current : ""));
    if (task.values && !weights->value_weight.defined())
      return absl::InvalidArgumentError("values: the weights have no value head");
    Evaluation out = EvaluateGroup(&impl_->model(), *weights, base->policy, task);
    impl_->model().ReleaseMemory();
    for (const Rows* rows : {&out.values, &out.logprobs, &out.reference_logprobs, &out.full_kl})
      MELLOW_RETURN_IF_ERROR(nn::CheckComputed(*rows, "evaluation"));
    return out;
  });
}

absl::StatusOr<GradientAnswer> GroupWorker::Gradient(const std::string& current,
                                                     const GradientTask& task) {
  MELLOW_RETURN_IF_ERROR(CheckSequences(task.sequences, model_config().vocab_size));
  MELLOW_RETURN_IF_ERROR(CheckTask(task));
  return nn::CatchTorch([&]() -> absl::StatusOr<GradientAnswer> {
    MELLOW_RETURN_IF_ERROR(impl_->Load(task.precision));
    MELLOW_ASSIGN_OR_RETURN(const DeviceWeights* const weights, impl_->Find(current));
    if (!weights->value_weight.defined())
      return absl::InvalidArgumentError("gradient: the weights have no value head");
    return ComputeGradient(&impl_->model(), *weights, task);
  });
}

}  // namespace mellow::rl
