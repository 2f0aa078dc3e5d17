#include "common/nn/torch/trainable_t5.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/status.h"
#include "common/nn/cpu/gradient_pass.h"
#include "common/nn/cpu/gradient_t5.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/torch/torch_t5.h"

namespace mellow::nn {
namespace {

class TorchPass : public TrainableT5::Pass {
 public:
  explicit TorchPass(at::Tensor states) : states_(std::move(states)) { hidden_ = states_.detach(); }
  void Backward(const at::Tensor& d_hidden) override { states_.backward(d_hidden); }

 private:
  at::Tensor states_;  // with its graph
};

class TorchTrainableT5 : public TrainableT5 {
 public:
  explicit TorchTrainableT5(const std::shared_ptr<const T5Weights>& weights)
      : TrainableT5(weights->folder), model_(weights) {}

  const T5Config& config() const override { return model_.config(); }
  at::Device device() const override { return model_.weights().device(); }
  int64_t parameter_count() const override { return model_.weights().parameter_count; }
  absl::Span<const LinearShape> modules() const override { return model_.weights().modules; }

  std::unique_ptr<Pass> Forward(const TeacherForced& pairs, const TorchLora& lora,
                                const DropoutOptions* options) override {
    const at::AutoGradMode grad(true);
    std::optional<Dropout> dropout;
    if (options != nullptr) dropout.emplace(*options);
    return std::make_unique<TorchPass>(
        TeacherForcedStates(&model_, pairs, lora, dropout ? &*dropout : nullptr));
  }
  at::Tensor Hidden(const TeacherForced& pairs, const TorchLora& lora) override {
    const at::NoGradGuard no_grad;
    return TeacherForcedStates(&model_, pairs, lora);
  }
  HeadOutput ScoreTargets(const at::Tensor& hidden, const at::Tensor& targets,
                          const HeadOptions& options) override {
    return nn::ScoreTargets(model_.weights(), hidden, targets, options);
  }
  at::Tensor VocabularyKl(const at::Tensor& hidden, const at::Tensor& reference_hidden) override {
    return nn::VocabularyKl(model_.weights(), hidden, reference_hidden);
  }

 private:
  TorchT5 model_;
};

cpu::GradientT5::Batch ToBatch(const TeacherForced& pairs) {
  cpu::GradientT5::Batch batch;
  const auto append = [](const PackedIds& packed, std::vector<int32_t>* tokens,
                         cpu::Sequences* rows) {
    const int64_t* const ids = packed.ids.const_data_ptr<int64_t>();
    tokens->assign(ids, ids + packed.ids.numel());
    for (const int64_t length : packed.lengths)
      rows->offsets.push_back(rows->offsets.back() + static_cast<int>(length));
  };
  append(pairs.source, &batch.source_tokens, &batch.sources);
  append(pairs.target, &batch.target_tokens, &batch.targets);
  return batch;
}

std::vector<cpu::LoraTensors> ToTensors(size_t modules, const TorchLora& lora) {
  std::vector<cpu::LoraTensors> out(modules);
  for (size_t i = 0; i < modules; ++i) {
    const TorchLora::Pair& pair = lora.pair(static_cast<int>(i));
    if (!pair.a.defined()) continue;
    out[i] = {pair.a.const_data_ptr<float>(), pair.b.const_data_ptr<float>(),
              static_cast<int>(pair.a.size(0)), static_cast<float>(pair.scaling)};
  }
  return out;
}

// The tensor's gradient, made of zeros when it has none yet.
float* GradientOf(const at::Tensor& parameter) {
  at::Tensor& gradient = parameter.mutable_grad();
  if (!gradient.defined()) gradient = at::zeros(parameter.sizes(), at::kFloat);
  return gradient.mutable_data_ptr<float>();
}

class KernelPass : public TrainableT5::Pass {
 public:
  KernelPass(cpu::GradientT5* model, const TeacherForced& pairs, const TorchLora& lora,
             const DropoutOptions* dropout, bool gradients)
      : lora_(lora), modules_(model->modules().size()) {
    if (dropout != nullptr) masks_.emplace(*dropout);
    pass_ = model->Run(ToBatch(pairs), ToTensors(modules_, lora), masks_ ? &*masks_ : nullptr,
                       gradients);
    hidden_ = at::empty({pass_->target_rows(), model->config().d_model}, at::kFloat);
    std::copy_n(pass_->hidden(), hidden_.numel(), hidden_.mutable_data_ptr<float>());
  }

  void Backward(const at::Tensor& d_hidden) override {
    std::vector<cpu::LoraGradients> gradients(modules_);
    for (size_t i = 0; i < modules_; ++i) {
      const TorchLora::Pair& pair = lora_.pair(static_cast<int>(i));
      if (pair.a.defined()) gradients[i] = {GradientOf(pair.a), GradientOf(pair.b)};
    }
    const at::Tensor contiguous = d_hidden.contiguous();
    pass_->Backward(contiguous.const_data_ptr<float>(), gradients);
  }

 private:
  const TorchLora& lora_;
  const size_t modules_;
  std::optional<DropoutMasks> masks_;
  std::unique_ptr<cpu::GradientPass> pass_;
};

class KernelTrainableT5 : public TrainableT5 {
 public:
  KernelTrainableT5(const std::string& folder, std::unique_ptr<cpu::GradientT5> model)
      : TrainableT5(folder), model_(std::move(model)) {}

  const T5Config& config() const override { return model_->config(); }
  at::Device device() const override { return at::kCPU; }
  int64_t parameter_count() const override { return model_->parameter_count(); }
  absl::Span<const LinearShape> modules() const override { return model_->modules(); }

  std::unique_ptr<Pass> Forward(const TeacherForced& pairs, const TorchLora& lora,
                                const DropoutOptions* dropout) override {
    return std::make_unique<KernelPass>(model_.get(), pairs, lora, dropout, /*gradients=*/true);
  }
  at::Tensor Hidden(const TeacherForced& pairs, const TorchLora& lora) override {
    return KernelPass(model_.get(), pairs, lora, nullptr, /*gradients=*/false).hidden();
  }
  HeadOutput ScoreTargets(const at::Tensor& hidden, const at::Tensor& targets,
                          const HeadOptions& options) override {
    const at::Tensor states = hidden.contiguous();
    const int64_t n = states.size(0);
    const auto room = [](at::IntArrayRef shape, at::Tensor* tensor) {
      *tensor = at::empty(shape, at::kFloat);
      return tensor->mutable_data_ptr<float>();
    };
    HeadOutput out;
    cpu::VocabularyHead::Output raw;
    raw.logprobs = room({n}, &out.logprobs);
    if (options.entropies) raw.entropies = room({n}, &out.entropies);
    if (options.jacobian) raw.jacobian = room(states.sizes(), &out.jacobian);
    model_->head().ScoreTargets(
        states.const_data_ptr<float>(),
        absl::MakeConstSpan(targets.const_data_ptr<int64_t>(), static_cast<size_t>(n)),
        options.label_smoothing, raw);
    return out;
  }
  at::Tensor VocabularyKl(const at::Tensor& hidden, const at::Tensor& reference_hidden) override {
    const at::Tensor p = hidden.contiguous(), q = reference_hidden.contiguous();
    at::Tensor out = at::empty({p.size(0)}, at::kFloat);
    model_->head().VocabularyKl(p.const_data_ptr<float>(), q.const_data_ptr<float>(),
                                static_cast<int>(p.size(0)), out.mutable_data_ptr<float>());
    return out;
  }
  void ReleaseMemory() override { model_->ReleaseMemory(); }

 private:
  std::unique_ptr<cpu::GradientT5> model_;
};

}  // namespace

absl::StatusOr<TorchLora> TrainableT5::Adapt(const LoraWeights& lora, bool trainable) const {
  MELLOW_RETURN_IF_ERROR(CheckBaseCopies(folder_, lora));
  return TorchLora::Create(modules(), device(), lora, trainable);
}

std::unique_ptr<TrainableT5> TrainableT5::OnTorch(const std::shared_ptr<const T5Weights>& weights) {
  return std::make_unique<TorchTrainableT5>(weights);
}

absl::StatusOr<std::unique_ptr<TrainableT5>> TrainableT5::Load(const std::string& folder,
                                                               const Device& device, int threads,
                                                               WeightType precision) {
  if (device.cuda) {
    if (precision != WeightType::kFloat32)
      return absl::UnimplementedError("precision: bfloat16 training runs on the CPU only");
    if (threads > 0) at::set_num_threads(threads);
    MELLOW_ASSIGN_OR_RETURN(T5Weights weights,
                            LoadT5Weights(folder, TorchDevice(device), at::kFloat));
    return OnTorch(std::make_shared<const T5Weights>(std::move(weights)));
  }
  // What is left to libtorch is too small to share out.
  at::set_num_threads(1);
  const int all = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<cpu::GradientT5> model,
                          cpu::GradientT5::Load(folder, {.threads = threads > 0 ? threads : all,
                                                         .weights = precision}));
  return std::make_unique<KernelTrainableT5>(folder, std::move(model));
}

}  // namespace mellow::nn
