#include "common/nn/cpu/gradient_t5.h"

#include <utility>

#include "common/base/status.h"
#include "common/nn/cpu/gradient_pass.h"

namespace mellow::nn::cpu {

absl::StatusOr<std::unique_ptr<GradientT5>> GradientT5::Load(const std::string& folder,
                                                             const LoadOptions& options,
                                                             size_t most_transposed) {
  auto backend = std::make_unique<CpuBackend>(options);
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<T5Weights> weights, LoadT5Weights(folder, backend.get()));
  return std::unique_ptr<GradientT5>(
      new GradientT5(std::move(backend), std::move(weights), most_transposed));
}

GradientT5::GradientT5(std::unique_ptr<CpuBackend> backend, std::unique_ptr<T5Weights> weights,
                       size_t most_transposed)
    : backend_(std::move(backend)),
      weights_(std::move(weights)),
      layout_(backend_->kernels, weights_->config.d_kv),
      head_(backend_.get(), *weights_),
      most_transposed_(most_transposed) {
  for (const T5Block& block : weights_->encoder) {
    Block& ours = encoder_.emplace_back();
    ours.weights = &block;
    ours.self_qkv = Trained(block.self_qkv);
    ours.self_o = Trained(block.self_o);
    ours.wi = Trained(block.wi);
    ours.wo = Trained(block.wo);
  }
  for (const T5Block& block : weights_->decoder) {
    Block& ours = decoder_.emplace_back();
    ours.weights = &block;
    ours.self_qkv = Trained(block.self_qkv);
    ours.self_o = Trained(block.self_o);
    ours.cross_q = Trained(block.cross_q);
    ours.cross_kv = Trained(block.cross_kv);
    ours.cross_o = Trained(block.cross_o);
    ours.wi = Trained(block.wi);
    ours.wo = Trained(block.wo);
  }
}

TrainedLinear GradientT5::Trained(const CpuLinear& linear) {
  TrainedLinear trained;
  trained.linear = &linear;
  trained.first_module = modules_.size();
  transposed_bytes_ += linear.matrix().bytes();
  trained.keeps_transposed = transposed_bytes_ <= most_transposed_;
  trained.transposed = trained.keeps_transposed ? &transposed_.emplace_back() : &shared_transposed_;
  for (const LinearPart& part : linear.parts())
    modules_.push_back({part.module, linear.in(), part.out});
  return trained;
}

std::unique_ptr<GradientPass> GradientT5::Run(Batch batch, absl::Span<const LoraTensors> adapter,
                                              const DropoutMasks* dropout, bool gradients) {
  PackedLora lora(backend_.get(), modules_, adapter, gradients);
  std::unique_ptr<kernels::Arena> arena;
  if (!gradients || free_.empty()) {
    if (gradients) free_.reserve(++arenas_);  // a pass gives its own back when it is destroyed
    arena = std::make_unique<kernels::Arena>();
  } else {
    arena = std::move(free_.back());
    free_.pop_back();
  }
  auto pass = std::make_unique<GradientPass>(this, std::move(batch), std::move(lora), dropout,
                                             gradients, std::move(arena));
  pass->Forward();
  return pass;
}

void GradientT5::ReleaseMemory() {
  for (const auto& arena : free_) arena->Discard();
  scratch_.Discard();
  for (kernels::PackedMatrix& matrix : transposed_) matrix.Discard();
  shared_transposed_.Discard();
  head_.ReleaseMemory();
}

}  // namespace mellow::nn::cpu
