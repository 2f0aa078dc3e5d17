// What a trainer's checkpoint holds: numbers in trainer.json, tensors in trainer.safetensors.

#include <ATen/core/grad_mode.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/weights/safetensors.h"
#include "common/sft/sft_core.h"
#include "nlohmann/json.hpp"

namespace mellow::sft {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr char kNumbers[] = "/trainer.json";
constexpr char kTensors[] = "/trainer.safetensors";

// What must be equal for a state to fit; the shapes are checked tensor by tensor.
Json Fingerprint(const SftConfig& config, const nn::LoraConfig& lora) {
  return {{"seed", config.seed},
          {"total_steps", config.total_steps},
          {"lora_r", lora.r},
          {"lora_alpha", lora.lora_alpha},
          {"module_alphas", lora.module_alphas},
          {"use_rslora", lora.use_rslora}};
}

absl::StatusOr<int64_t> ParseSteps(const std::string& path, const Json& json,
                                   const Json& fingerprint) {
  if (!json.is_object() || !json.contains("format") || !json["format"].is_number_integer() ||
      !json.contains("made_with") || !json["made_with"].is_object() || !json.contains("step") ||
      !json["step"].is_number_unsigned())
    return absl::DataLossError(absl::StrCat(path, ": not the state of a trainer"));
  if (json["format"] != kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": format ", json["format"].dump(), ", this version reads ", kFormat));
  }
  for (const auto& [key, value] : fingerprint.items()) {
    // States of earlier versions do not speak of what they did not have.
    const Json saved = json["made_with"].value(key, value.is_object() ? Json::object() : Json());
    if (saved != value) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": ", key, " is ", saved.dump(), ", this trainer has ", value.dump()));
    }
  }
  return json["step"].get<int64_t>();
}

}  // namespace

absl::Status SftCore::SaveState(const std::string& folder) const {
  const Json json = {
      {"format", kFormat}, {"made_with", Fingerprint(config_, lora_.config())}, {"step", step()}};
  nn::TensorMap tensors;
  for (const nn::AdamW::Parameter& p : adam_.parameters()) {
    tensors[p.name] = nn::FromTorch(p.value);
    tensors["adam.m." + p.name] = nn::FromTorch(p.m);
    tensors["adam.v." + p.name] = nn::FromTorch(p.v);
  }
  MELLOW_RETURN_IF_ERROR(WriteFileSynced(folder + kNumbers, json.dump(1)));
  return WriteFileSynced(folder + kTensors, nn::SerializeSafetensors(tensors, {}));
}

absl::Status SftCore::RestoreState(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + kNumbers));
  const Json json = Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  MELLOW_ASSIGN_OR_RETURN(const int64_t steps, ParseSteps(folder + kNumbers, json,
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
