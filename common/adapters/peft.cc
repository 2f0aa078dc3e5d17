#include "common/adapters/peft.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/adapters/peft_config.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/nn/weights/safetensors.h"
#include "common/nn/weights/torch_zip.h"

namespace mellow::adapters {
namespace {

using nn::HostTensor;
using nn::LoraPair;
using nn::LoraWeights;
using nn::TensorMap;

constexpr char kConfigFile[] = "adapter_config.json";
constexpr char kTensorFile[] = "adapter_model.safetensors";
constexpr char kTensorFileTorch[] = "adapter_model.bin";
constexpr absl::string_view kPrefix = "base_model.model.";
constexpr absl::string_view kA = ".lora_A.weight";
constexpr absl::string_view kB = ".lora_B.weight";
constexpr size_t kMaxProblems = 12;

HostTensor AsFloat32(HostTensor tensor) {
  if (tensor.dtype == nn::DType::kFloat32) return tensor;
  std::vector<float> values = tensor.ToFloat32();
  return HostTensor::FromFloat32(std::move(values), std::move(tensor.shape));
}

// What is wrong with one pair; empty when nothing is.
std::string PairProblem(const LoraPair& pair, int r) {
  const std::vector<int64_t>& a = pair.a.shape;
  const std::vector<int64_t>& b = pair.b.shape;
  if (a.empty()) return "has B but no A";
  if (b.empty()) return "has A but no B";
  if (a.size() != 2 || b.size() != 2 || a[0] != r || b[1] != r || a[1] == 0 || b[0] == 0)
    return absl::StrCat("has A ", nn::ShapeString(a), " and B ", nn::ShapeString(b),
                        ", which do not fit r ", r);
  return "";
}

// Whether PEFT would have adapted `module` for one of the names: the module itself, or its last
// parts.
bool IsTargeted(const std::string& module, const std::vector<std::string>& targets) {
  for (const std::string& target : targets) {
    if (module == target || absl::EndsWith(module, absl::StrCat(".", target))) return true;
  }
  return false;
}

absl::Status CheckModules(const LoraWeights& lora) {
  std::vector<std::string> problems;
  for (const auto& [module, pair] : lora.modules) {
    std::string problem = PairProblem(pair, lora.config.r);
    if (problem.empty() && !IsTargeted(module, lora.config.target_modules))
      problem = "is not among target_modules";
    if (!problem.empty()) problems.push_back(absl::StrCat(module, " ", problem));
  }
  if (lora.modules.empty()) problems.push_back("there are none");
  if (problems.empty()) return absl::OkStatus();
  const size_t count = problems.size();
  if (count > kMaxProblems) {
    problems.resize(kMaxProblems);
    problems.push_back(absl::StrCat("and ", count - kMaxProblems, " more"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the adapter's tensors: ", absl::StrJoin(problems, "; ")));
}

// DataLoss naming the first tensor that holds NaN or an infinity: such an adapter answers with
// nothing but such numbers, and training from it never recovers.
absl::Status CheckFinite(const LoraWeights& lora) {
  for (const auto& [module, pair] : lora.modules) {
    for (const auto& [tensor, suffix] : {std::pair(&pair.a, kA), std::pair(&pair.b, kB)}) {
      const std::vector<float> values = tensor->ToFloat32();
      const auto bad =
          std::find_if_not(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
      if (bad != values.end())
        return absl::DataLossError(absl::StrCat(kPrefix, module, suffix, ": element ",
                                                bad - values.begin(), " is ", *bad,
                                                ", not a finite number"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LoraWeights> Assemble(nn::LoraConfig config, TensorMap tensors) {
  LoraWeights lora;
  lora.config = std::move(config);
  std::vector<std::string> unknown;
  for (auto& [name, tensor] : tensors) {
    absl::string_view module = name;
    const bool prefixed = absl::ConsumePrefix(&module, kPrefix);
    if (prefixed && absl::ConsumeSuffix(&module, kA)) {
      lora.modules[std::string(module)].a = AsFloat32(std::move(tensor));
    } else if (prefixed && absl::ConsumeSuffix(&module, kB)) {
      lora.modules[std::string(module)].b = AsFloat32(std::move(tensor));
    } else if (unknown.size() < kMaxProblems) {
      unknown.push_back(name);
    }
  }
  if (!unknown.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("tensors that are no LoRA of a linear layer: ", absl::StrJoin(unknown, ", ")));
  MELLOW_RETURN_IF_ERROR(CheckModules(lora));
  MELLOW_RETURN_IF_ERROR(CheckFinite(lora));
  return lora;
}

// The tensors under PEFT's names. HostTensors are cheap to copy.
TensorMap NamedTensors(const LoraWeights& lora) {
  TensorMap tensors;
  for (const auto& [module, pair] : lora.modules) {
    tensors[absl::StrCat(kPrefix, module, kA)] = AsFloat32(pair.a);
    tensors[absl::StrCat(kPrefix, module, kB)] = AsFloat32(pair.b);
  }
  return tensors;
}

absl::StatusOr<TensorMap> ReadTensors(const std::string& folder) {
  absl::StatusOr<TensorMap> tensors = nn::ReadSafetensors(absl::StrCat(folder, "/", kTensorFile));
  if (tensors.ok() || !absl::IsNotFound(tensors.status())) return tensors;
  tensors = nn::ReadTorchZip(absl::StrCat(folder, "/", kTensorFileTorch));
  if (tensors.ok() || !absl::IsNotFound(tensors.status())) return tensors;
  return absl::NotFoundError(
      absl::StrCat(folder, ": no ", kTensorFile, " and no ", kTensorFileTorch));
}

template <typename T>
void HashNumber(T value, Sha256* sha) {
  uint8_t bytes[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  sha->Update(bytes, sizeof(bytes));
}

}  // namespace

absl::StatusOr<LoraWeights> ReadPeftFolder(const std::string& folder) {
  const std::string config_path = absl::StrCat(folder, "/", kConfigFile);
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_path));
  MELLOW_ASSIGN_OR_RETURN(nn::LoraConfig config, ParsePeftConfig(text, config_path));
  MELLOW_ASSIGN_OR_RETURN(TensorMap tensors, ReadTensors(folder));
  absl::StatusOr<LoraWeights> lora = Assemble(std::move(config), std::move(tensors));
  if (!lora.ok()) return Annotate(lora.status(), folder);
  return lora;
}

absl::Status WritePeftFolder(const std::string& folder, const LoraWeights& lora) {
  const PeftFiles files = SerializePeft(lora);
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFolder> target, AtomicFolder::Create(folder));
  MELLOW_RETURN_IF_ERROR(
      WriteFileSynced(absl::StrCat(target->staging(), "/", kConfigFile), files.config_json));
  MELLOW_RETURN_IF_ERROR(
      WriteFileSynced(absl::StrCat(target->staging(), "/", kTensorFile), files.safetensors));
  return target->Commit();
}

PeftFiles SerializePeft(const LoraWeights& lora) {
  // "format": peft refuses a file that does not say which framework its layout is meant for.
  return {SerializePeftConfig(lora.config),
          nn::SerializeSafetensors(NamedTensors(lora), {{"format", "pt"}})};
}

absl::StatusOr<LoraWeights> ParsePeft(const PeftFiles& files) {
  MELLOW_ASSIGN_OR_RETURN(nn::LoraConfig config, ParsePeftConfig(files.config_json, kConfigFile));
  MELLOW_ASSIGN_OR_RETURN(
      TensorMap tensors,
      nn::ParseSafetensors(std::make_shared<const std::string>(files.safetensors), kTensorFile));
  return Assemble(std::move(config), std::move(tensors));
}

std::string ContentHash(const LoraWeights& lora) {
  Sha256 sha;
  for (const auto& [name, tensor] : NamedTensors(lora)) {
    sha.Update(name);
    sha.Update("\0", 1);
    HashNumber(static_cast<uint32_t>(tensor.shape.size()), &sha);
    for (const int64_t size : tensor.shape) HashNumber(static_cast<uint64_t>(size), &sha);
    sha.Update(tensor.bytes.data(), tensor.bytes.size());
  }
  return sha.HexDigest();
}

}  // namespace mellow::adapters
