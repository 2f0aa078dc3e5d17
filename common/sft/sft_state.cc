// What a trainer's checkpoint holds: numbers in trainer.json, tensors in trainer.safetensors.

#include <ATen/core/grad_mode.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/weights/safetensors.h"
#include "common/sft/sft_core.h"

namespace mellow::sft {
namespace {

using json::Value;

constexpr int kFormat = 1;
constexpr char kNumbers[] = "/trainer.json";
constexpr char kTensors[] = "/trainer.safetensors";

// What must be equal for a state to fit; the shapes are checked tensor by tensor.
Value Fingerprint(const SftConfig& config, const nn::LoraConfig& lora) {
  return {{"seed", config.seed},
          {"total_steps", config.total_steps},
          {"lora_r", lora.r},
          {"lora_alpha", lora.lora_alpha},
          {"module_alphas", lora.module_alphas},
          {"use_rslora", lora.use_rslora}};
}

absl::StatusOr<int64_t> ParseSteps(const std::string& path, const Value& state,
                                   const Value& fingerprint) {
  int64_t step = -1;
  if (!state["format"].is_integer() || !state["made_with"].is_object() ||
      !state.Get("step", &step) || step < 0)
    return absl::DataLossError(absl::StrCat(path, ": not the state of a trainer"));
  if (state["format"] != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": format ", json::Write(state["format"]), ", this version reads ", kFormat));
  }
  for (const auto& [key, value] : fingerprint.members()) {
    // States of earlier versions do not speak of what they did not have.
    const Value* found = state["made_with"].Find(key);
    const Value saved = found != nullptr    ? *found
                        : value.is_object() ? Value::MakeObject()
                                            : Value();
    if (saved != value) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": ", key, " is ", json::Write(saved),
                                                        ", this trainer has ", json::Write(value)));
    }
  }
  return step;
}

}  // namespace

absl::Status SftCore::SaveState(const std::string& folder) const {
  const Value state = {
      {"format", kFormat}, {"made_with", Fingerprint(config_, lora_.config())}, {"step", step()}};
  nn::TensorMap tensors;
  for (const nn::AdamW::Parameter& p : adam_.parameters()) {
    tensors[p.name] = nn::FromTorch(p.value);
    tensors["adam.m." + p.name] = nn::FromTorch(p.m);
    tensors["adam.v." + p.name] = nn::FromTorch(p.v);
  }
  MELLOW_RETURN_IF_ERROR(
      WriteFileSynced(folder + kNumbers, json::Write(state, {.indentation = 1, .sorted = true})));
  return WriteFileSynced(folder + kTensors, nn::SerializeSafetensors(tensors, {}));
}

absl::Status SftCore::RestoreState(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + kNumbers));
  const Value state = json::Parse(text, "").value_or(Value());
  MELLOW_ASSIGN_OR_RETURN(const int64_t steps, ParseSteps(folder + kNumbers, state,
                                                          Fingerprint(config_, lora_.config())));
  // Everything is read and checked before anything is overwritten.
  MELLOW_ASSIGN_OR_RETURN(const nn::TensorMap tensors, nn::ReadSafetensors(folder + kTensors));
  nn::TensorReader reader(tensors);
  std::vector<std::pair<at::Tensor, std::vector<float>>> writes;
  for (const nn::AdamW::Parameter& p : adam_.parameters()) {
    writes.emplace_back(p.value, reader.Float32(p.name, p.value.sizes().vec()));
    writes.emplace_back(p.m, reader.Float32("adam.m." + p.name, p.m.sizes().vec()));
    writes.emplace_back(p.v, reader.Float32("adam.v." + p.name, p.v.sizes().vec()));
  }
  MELLOW_RETURN_IF_ERROR(Annotate(reader.Finish(), folder + kTensors));
  const at::NoGradGuard no_grad;
  for (auto& [target, values] : writes)
    target.copy_(nn::FloatTensor(values, target.device()).view(target.sizes()));
  adam_.set_steps(steps);
  return absl::OkStatus();
}

}  // namespace mellow::sft
