#include "common/train/lora_trainer.h"

#include <ATen/core/grad_mode.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/pretrained.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/weights/safetensors.h"

namespace mellow::train {
namespace {

using json::Value;

constexpr char kNumbers[] = "/trainer.json";
constexpr char kTensors[] = "/trainer.safetensors";

LoraTrainer::NamedTensors Joined(LoraTrainer::NamedTensors first,
                                 const LoraTrainer::NamedTensors& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// The shapes are checked tensor by tensor.
Value WithShape(Value made_with, const nn::LoraConfig& lora) {
  made_with.Add("lora_r", lora.r);
  made_with.Add("lora_alpha", lora.lora_alpha);
  made_with.Add("module_alphas", lora.module_alphas);
  made_with.Add("use_rslora", lora.use_rslora);
  return made_with;
}

}  // namespace

absl::StatusOr<nn::LoraWeights> StartingAdapter(absl::Span<const nn::LinearShape> modules,
                                                const nn::LoraConfig& fresh, uint64_t seed,
                                                const std::optional<nn::LoraWeights>& start) {
  if (!start) return nn::FreshLora(modules, fresh, seed);
  if (start->modules.empty())
    return absl::InvalidArgumentError("the starting adapter has no modules");
  return *start;
}

absl::StatusOr<AdaptedModel> LoadToTrain(const std::string& model_folder,
                                         const nn::LoraConfig& fresh, uint64_t seed,
                                         const std::optional<nn::LoraWeights>& start,
                                         const TrainerOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(
      std::unique_ptr<nn::TrainableT5> model,
      nn::TrainableT5::Load(model_folder, options.device, options.threads, options.precision));
  MELLOW_ASSIGN_OR_RETURN(nn::LoraWeights adapter,
                          StartingAdapter(model->modules(), fresh, seed, start));
  nn::NameBaseModel(model_folder, &adapter.config);
  MELLOW_ASSIGN_OR_RETURN(nn::TorchLora lora, model->Adapt(adapter, /*trainable=*/true));
  return AdaptedModel{std::move(model), std::move(lora)};
}

absl::Status CheckToTrain(const std::string& model_folder, const nn::LoraConfig& fresh,
                          uint64_t seed, const std::optional<nn::LoraWeights>& start) {
  MELLOW_ASSIGN_OR_RETURN(const nn::T5Config model, nn::ReadT5Config(model_folder));
  const std::vector<nn::LinearShape> modules = nn::LinearLayers(model);
  MELLOW_ASSIGN_OR_RETURN(const nn::LoraWeights adapter,
                          StartingAdapter(modules, fresh, seed, start));
  MELLOW_RETURN_IF_ERROR(nn::CheckBaseCopies(model_folder, adapter));
  return nn::TorchLora::Create(modules, at::kCPU, adapter, /*trainable=*/true).status();
}

LoraTrainer::NamedTensors NamedParameters(const nn::TorchLora& lora, absl::string_view prefix) {
  LoraTrainer::NamedTensors out;
  for (const nn::TorchLora::Named& p : lora.parameters()) {
    out.emplace_back(absl::StrCat(prefix, p.module, ".lora_A.weight"), p.a);
    out.emplace_back(absl::StrCat(prefix, p.module, ".lora_B.weight"), p.b);
  }
  return out;
}

LoraTrainer::LoraTrainer(AdaptedModel adapted, const NamedTensors& more,
                         const nn::AdamWOptions& options)
    : model_(std::move(adapted.model)),
      lora_(std::move(adapted.lora)),
      adam_(Joined(NamedParameters(lora_), more), options) {}

int64_t LoraTrainer::parameters() const {
  int64_t count = 0;
  for (const nn::AdamW::Parameter& p : adam_.parameters()) count += p.value.numel();
  return count;
}

void LoraTrainer::Step(double learning_rate, double norm, std::optional<double> most) {
  if (most) {
    const double factor = *most / (norm + 1e-6);
    if (factor < 1) adam_.ScaleGradients(factor);
  }
  adam_.Step(learning_rate);
  adam_.ZeroGradients();
}

LoraTrainer::NamedTensors LoraTrainer::State(const NamedTensors& more) const {
  NamedTensors state;
  for (const nn::AdamW::Parameter& p : adam_.parameters()) {
    state.emplace_back(p.name, p.value);
    state.emplace_back("adam.m." + p.name, p.m);
    state.emplace_back("adam.v." + p.name, p.v);
  }
  return Joined(std::move(state), more);
}

absl::Status LoraTrainer::SaveState(const std::string& folder, Value made_with, Value numbers,
                                    const NamedTensors& more) const {
  nn::TensorMap tensors;
  for (const auto& [name, tensor] : State(more)) tensors[name] = nn::FromTorch(tensor);
  MELLOW_RETURN_IF_ERROR(WriteFileSynced(
      folder + kNumbers, SerializeTrainerNumbers(WithShape(std::move(made_with), lora_.config()),
                                                 std::move(numbers))));
  return WriteFileSynced(folder + kTensors, nn::SerializeSafetensors(tensors, {}));
}

absl::Status LoraTrainer::RestoreState(const std::string& folder, Value made_with,
                                       const NamedTensors& more,
                                       const std::function<absl::Status(const Value&)>& read) {
  const std::string path = folder + kNumbers;
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  MELLOW_RETURN_IF_ERROR(
      ParseTrainerNumbers(text, path, WithShape(std::move(made_with), lora_.config()), read));

  // Everything is read and checked before anything is overwritten.
  MELLOW_ASSIGN_OR_RETURN(const nn::TensorMap tensors, nn::ReadSafetensors(folder + kTensors));
  nn::TensorReader reader(tensors);
  std::vector<std::pair<at::Tensor, std::vector<float>>> writes;
  for (const auto& [name, target] : State(more))
    writes.emplace_back(target, reader.Float32(name, target.sizes().vec()));
  MELLOW_RETURN_IF_ERROR(Annotate(reader.Finish(), folder + kTensors));
  const at::NoGradGuard no_grad;
  for (auto& [target, values] : writes)
    target.copy_(nn::FloatTensor(values, target.device()).view(target.sizes()));
  return absl::OkStatus();
}

}  // namespace mellow::train
