#include "common/nn/torch/torch_lora.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/philox.h"
#include "common/base/status.h"
#include "common/nn/lora.h"
#include "common/nn/torch/tensors.h"

namespace mellow::nn {
namespace {

constexpr char kHead[] = "lm_head";

// FNV-1a: a stable 64-bit number for a tensor's name, so that its random numbers do not depend on
// the other tensors.
uint64_t NameNumber(const std::string& name) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return hash;
}

std::string ShapeProblem(const std::string& name, const HostTensor& tensor,
                         const std::vector<int64_t>& wanted) {
  if (tensor.shape == wanted) return "";
  return absl::StrCat(name, " is ", ShapeString(tensor.shape), ", the model needs ",
                      ShapeString(wanted));
}

}  // namespace

std::vector<float> UniformWeights(uint64_t seed, const std::string& name, int64_t n, double bound) {
  const PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const uint64_t stream = NameNumber(name);
  std::vector<float> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const PhiloxCounter counter = {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32),
                                   static_cast<uint32_t>(stream),
                                   static_cast<uint32_t>(stream >> 32)};
    out[static_cast<size_t>(i)] = static_cast<float>((2 * PhiloxUniform(counter, key) - 1) * bound);
  }
  return out;
}

bool MatchesTarget(const std::string& module, const std::string& target) {
  return module == target || absl::EndsWith(module, "." + target);
}

absl::StatusOr<LoraWeights> FreshLora(absl::Span<const LinearShape> modules,
                                      const LoraConfig& config, uint64_t seed) {
  LoraWeights lora{.config = config};
  for (const std::string& target : config.target_modules) {
    bool found = false;
    for (const LinearShape& module : modules) {
      if (!MatchesTarget(module.name, target)) continue;
      found = true;
      const double bound = 1.0 / std::sqrt(static_cast<double>(module.in));
      lora.modules[module.name] = {
          HostTensor::FromFloat32(UniformWeights(seed, module.name, config.r * module.in, bound),
                                  {config.r, module.in}),
          HostTensor::FromFloat32(std::vector<float>(static_cast<size_t>(module.out * config.r)),
                                  {module.out, config.r})};
    }
    if (!found) {
      return absl::InvalidArgumentError(absl::StrCat("lora.target_modules: \"", target,
                                                     "\" names no linear layer of this model"));
    }
  }
  return lora;
}

absl::StatusOr<TorchLora> TorchLora::Create(absl::Span<const LinearShape> modules,
                                            at::Device device, const LoraWeights& lora,
                                            bool trainable) {
  TorchLora out(modules);
  out.config_ = lora.config;
  std::map<std::string, int> slots;
  for (size_t i = 0; i < modules.size(); ++i) slots[modules[i].name] = static_cast<int>(i);

  std::vector<std::string> problems;
  for (const auto& [name, pair] : lora.modules) {
    if (name == kHead && trainable) {
      problems.push_back(
          absl::StrCat(name, " can be adapted by others and served here, not trained"));
      continue;
    }
    const auto slot = slots.find(name);
    if (slot == slots.end()) {
      problems.push_back(absl::StrCat(name, " is no linear layer of this model"));
      continue;
    }
    const LinearShape& module = modules[static_cast<size_t>(slot->second)];
    const int64_t r = pair.a.shape.empty() ? 0 : pair.a.shape[0];
    const std::string bad_a = ShapeProblem(name + ".lora_A", pair.a, {r, module.in});
    const std::string bad_b = ShapeProblem(name + ".lora_B", pair.b, {module.out, r});
    if (!bad_a.empty()) problems.push_back(bad_a);
    if (!bad_b.empty()) problems.push_back(bad_b);
    if (!bad_a.empty() || !bad_b.empty()) continue;
    Pair& target = out.pairs_[static_cast<size_t>(slot->second)];
    target.a = ToTorch(pair.a, device).set_requires_grad(trainable);
    target.b = ToTorch(pair.b, device).set_requires_grad(trainable);
    target.scaling = lora.config.ScalingOf(name, r);
    out.named_.push_back({name, target.a, target.b});
  }
  if (!problems.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the adapter does not fit the model: ", absl::StrJoin(problems, "; ")));
  }
  return out;
}

absl::StatusOr<TorchLora> TorchLora::Create(const T5Weights& model, const LoraWeights& lora,
                                            bool trainable) {
  MELLOW_RETURN_IF_ERROR(CheckBaseCopies(model.folder, lora));
  std::vector<LinearShape> modules = model.modules;
  modules.push_back({kHead, model.head.size(1), model.head.size(0)});
  return Create(modules, model.device(), lora, trainable);
}

LoraWeights TorchLora::ToHost() const {
  LoraWeights lora{.config = config_};
  for (const Named& named : named_)
    lora.modules[named.module] = {FromTorch(named.a), FromTorch(named.b)};
  return lora;
}

}  // namespace mellow::nn
