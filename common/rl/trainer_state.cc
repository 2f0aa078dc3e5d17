// What a trainer's checkpoint holds: numbers in trainer.json, tensors in trainer.safetensors.

#include <ATen/core/grad_mode.h>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"
#include "common/nn/torch/tensors.h"
#include "common/nn/weights/safetensors.h"
#include "common/rl/trainer_core.h"

namespace mellow::rl {
namespace {

using json::Value;

constexpr int kFormat = 1;
constexpr char kNumbers[] = "/trainer.json";
constexpr char kTensors[] = "/trainer.safetensors";

// What must be equal for a state to fit: the shapes are checked tensor by tensor.
Value Fingerprint(const PpoConfig& config, const nn::LoraConfig& lora) {
  return {{"seed", config.seed},
          {"reference", std::string(ReferenceName(config.reference))},
          {"lora_r", lora.r},
          {"lora_alpha", lora.lora_alpha},
          {"module_alphas", lora.module_alphas},
          {"use_rslora", lora.use_rslora},
          {"trl_compat", config.trl_compat}};
}

absl::Status Corrupt(const std::string& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": ", what));
}

struct Numbers {
  int64_t step = 0;
  int64_t adam_steps = 0;
  double kl_coef = 0;
  RunningMoments moments;
  NumpyRandom::State random;
};

absl::StatusOr<double> Number(const std::string& path, const Value& object, const char* key) {
  double number = 0;
  if (!json::ReadNumber(object, key, &number))
    return Corrupt(path, absl::StrCat("no number \"", key, "\""));
  return number;
}

absl::StatusOr<Numbers> ParseNumbers(const std::string& path, const Value& state,
                                     const Value& fingerprint) {
  MELLOW_ASSIGN_OR_RETURN(const double format, Number(path, state, "format"));
  if (format != kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": format ", format, ", this version reads ", kFormat));
  }
  if (!state["made_with"].is_object()) return Corrupt(path, "no \"made_with\"");
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
  Numbers n;
  MELLOW_ASSIGN_OR_RETURN(const double step, Number(path, state, "step"));
  MELLOW_ASSIGN_OR_RETURN(const double adam_steps, Number(path, state, "adam_steps"));
  n.step = static_cast<int64_t>(step);
  n.adam_steps = static_cast<int64_t>(adam_steps);
  MELLOW_ASSIGN_OR_RETURN(n.kl_coef, Number(path, state, "kl_coef"));
  const Value& moments = state["moments"];
  MELLOW_ASSIGN_OR_RETURN(n.moments.mean, Number(path, moments, "mean"));
  MELLOW_ASSIGN_OR_RETURN(n.moments.std, Number(path, moments, "std"));
  MELLOW_ASSIGN_OR_RETURN(n.moments.var, Number(path, moments, "var"));
  MELLOW_ASSIGN_OR_RETURN(n.moments.count, Number(path, moments, "count"));
  const Value& random = state["random"];
  MELLOW_ASSIGN_OR_RETURN(const double position, Number(path, random, "position"));
  if (position < 0 || position > NumpyRandom::kStateWords) return Corrupt(path, "random.position");
  n.random.position = static_cast<int>(position);
  const Value& words = random["words"];
  if (!words.is_array() || words.size() != n.random.words.size())
    return Corrupt(path, "random.words is not a list of 624 numbers");
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].To(&n.random.words[i]))
      return Corrupt(path, "random.words holds something else than a number");
  }
  return n;
}

}  // namespace

absl::Status TrainerCore::SaveState(const std::string& folder) const {
  const Value state = {
      {"format", kFormat},
      {"made_with", Fingerprint(config_, policy().config())},
      {"step", step_},
      {"adam_steps", adam_.steps()},
      {"kl_coef", kl_.value()},
      {"moments",
       {{"mean", moments_.mean},
        {"std", moments_.std},
        {"var", moments_.var},
        {"count", moments_.count}}},
      {"random", {{"position", random_.state().position}, {"words", random_.state().words}}}};
  nn::TensorMap tensors;
  for (const nn::AdamW::Parameter& p : adam_.parameters()) {
    tensors[p.name] = nn::FromTorch(p.value);
    tensors["adam.m." + p.name] = nn::FromTorch(p.m);
    tensors["adam.v." + p.name] = nn::FromTorch(p.v);
  }
  for (const nn::TorchLora::Named& p : reference_.parameters()) {
    tensors["reference." + p.module + ".lora_A.weight"] = nn::FromTorch(p.a);
    tensors["reference." + p.module + ".lora_B.weight"] = nn::FromTorch(p.b);
  }
  MELLOW_RETURN_IF_ERROR(
      WriteFileSynced(folder + kNumbers, json::Write(state, {.indentation = 1, .sorted = true})));
  return WriteFileSynced(folder + kTensors, nn::SerializeSafetensors(tensors, {}));
}

absl::Status TrainerCore::RestoreState(const std::string& folder) {
  const std::string path = folder + kNumbers;
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const absl::StatusOr<Value> state = json::ParseObject(text, path);
  if (!state.ok()) return absl::DataLossError(state.status().message());
  MELLOW_ASSIGN_OR_RETURN(const Numbers numbers,
                          ParseNumbers(path, *state, Fingerprint(config_, policy().config())));

  // Everything is read and checked before anything is overwritten.
  MELLOW_ASSIGN_OR_RETURN(const nn::TensorMap tensors, nn::ReadSafetensors(folder + kTensors));
  nn::TensorReader reader(tensors);
  std::vector<std::pair<at::Tensor, std::vector<float>>> writes;
  const auto take = [&](const std::string& name, const at::Tensor& target) {
    writes.emplace_back(target, reader.Float32(name, target.sizes().vec()));
  };
  for (const nn::AdamW::Parameter& p : adam_.parameters()) {
    take(p.name, p.value);
    take("adam.m." + p.name, p.m);
    take("adam.v." + p.name, p.v);
  }
  for (const nn::TorchLora::Named& p : reference_.parameters()) {
    take("reference." + p.module + ".lora_A.weight", p.a);
    take("reference." + p.module + ".lora_B.weight", p.b);
  }
  MELLOW_RETURN_IF_ERROR(Annotate(reader.Finish(), folder + kTensors));

  const at::NoGradGuard no_grad;
  for (auto& [target, values] : writes)
    target.copy_(nn::FloatTensor(values, target.device()).view(target.sizes()));
  adam_.set_steps(numbers.adam_steps);
  kl_.set_value(numbers.kl_coef);
  moments_ = numbers.moments;
  random_.set_state(numbers.random);
  step_ = numbers.step;
  return absl::OkStatus();
}

}  // namespace mellow::rl
