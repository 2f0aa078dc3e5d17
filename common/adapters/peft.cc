#include "common/adapters/peft.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
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
constexpr char kCardFile[] = "README.md";
constexpr char kTensorFileTorch[] = "adapter_model.bin";
constexpr absl::string_view kPrefix = "base_model.model.";
constexpr absl::string_view kA = ".lora_A.weight";
constexpr absl::string_view kB = ".lora_B.weight";
constexpr size_t kMaxProblems = 12;
constexpr size_t kMaxComparisons = 10'000'000;

HostTensor AsFloat32(HostTensor tensor) {
  if (tensor.dtype == nn::DType::kFloat32) return tensor;
  std::vector<float> values = tensor.ToFloat32();
  return HostTensor::FromFloat32(std::move(values), std::move(tensor.shape));
}

// What is wrong with one pair's tensors by themselves; empty when nothing is.
std::string PairProblem(const LoraPair& pair) {
  const std::vector<int64_t>& a = pair.a.shape;
  const std::vector<int64_t>& b = pair.b.shape;
  if (a.empty()) return "has B but no A";
  if (b.empty()) return "has A but no B";
  if (a.size() != 2 || b.size() != 2 || a[0] != b[1] || a[0] == 0 || a[1] == 0 || b[0] == 0)
    return absl::StrCat("has A ", nn::ShapeString(a), " and B ", nn::ShapeString(b),
                        ", which do not fit each other");
  return "";
}

// Whether PEFT would give these tensors to the model, and with which alpha.
std::string RuleProblem(const std::string& module, const LoraPair& pair, const ModuleRules& rules,
                        nn::LoraConfig* config) {
  if (std::string why = rules.WhyNotChosen(module); !why.empty()) return why;
  std::string why;
  const double alpha = rules.AlphaOf(module, pair.a.shape[0], config->r, config->lora_alpha, &why);
  if (!why.empty())
    return absl::StrCat("has A ", nn::ShapeString(pair.a.shape), " and B ",
                        nn::ShapeString(pair.b.shape), ", which ", why);
  if (alpha != config->lora_alpha) config->module_alphas[module] = alpha;
  return "";
}

std::string Listed(std::vector<std::string> parts, absl::string_view separator) {
  const size_t count = parts.size();
  if (count > kMaxProblems) {
    parts.resize(kMaxProblems);
    parts.push_back(absl::StrCat("and ", count - kMaxProblems, " more"));
  }
  return absl::StrJoin(parts, separator);
}

bool IsModuleName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
  });
}

// Whether PEFT takes the name `key`, as a regular expression, for `module` too: a dot is any
// character there, and any parts may come before.
bool IsTakenFor(absl::string_view key, absl::string_view module) {
  if (key.size() > module.size()) return false;
  const size_t before = module.size() - key.size();
  if (before > 0 && module[before - 1] != '.') return false;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] != '.' && key[i] != module[before + i]) return false;
  }
  return true;
}

// Ranks and alphas of single modules are written by name: the names must tell them apart. Those of
// a real model do. Empty: they do.
std::string NamesProblem(const LoraWeights& lora) {
  std::vector<absl::string_view> special;
  for (const auto& [module, pair] : lora.modules) {
    if (pair.a.shape[0] != lora.config.r || lora.config.module_alphas.contains(module))
      special.push_back(module);
  }
  if (special.size() * lora.modules.size() > kMaxComparisons)
    return absl::StrCat(special.size(), " with a rank or alpha of their own are too many");
  for (const absl::string_view name : special) {
    for (const auto& [module, pair] : lora.modules) {
      if (module != name && IsTakenFor(name, module))
        return absl::StrCat(name, " and ", module, " cannot be told apart by rank_pattern");
    }
  }
  return "";
}

// Checks the tensors against the rules, which then have done their part: the config gets what they
// come to.
absl::Status ApplyRules(const ModuleRules& rules, LoraWeights* lora) {
  std::vector<std::string> problems;
  if (std::string why = rules.WhyTooMany(lora->modules.size()); !why.empty())
    return absl::InvalidArgumentError(why);
  for (const auto& [module, pair] : lora->modules) {
    std::string problem = PairProblem(pair);
    if (problem.empty()) problem = RuleProblem(module, pair, rules, &lora->config);
    if (!problem.empty()) problems.push_back(absl::StrCat(module, " ", problem));
  }
  if (lora->modules.empty()) problems.push_back("there are none");
  if (problems.empty()) {
    std::string problem = NamesProblem(*lora);
    if (!problem.empty()) problems.push_back(std::move(problem));
  }
  if (!problems.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("the adapter's tensors: ", Listed(std::move(problems), "; ")));
  lora->config.target_modules = rules.plain_targets();
  if (lora->config.target_modules.empty()) {
    for (const auto& [module, pair] : lora->modules) lora->config.target_modules.push_back(module);
  }
  return absl::OkStatus();
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

absl::StatusOr<LoraWeights> Assemble(PeftConfig config, TensorMap tensors) {
  LoraWeights lora;
  lora.config = std::move(config.lora);
  std::vector<std::string> unknown, bare;
  for (auto& [name, tensor] : tensors) {
    absl::string_view module = name;
    if (!absl::ConsumePrefix(&module, kPrefix)) {
      bare.push_back(name);
    } else if (!IsModuleName(module)) {
      unknown.push_back(name);
    } else if (absl::ConsumeSuffix(&module, kA)) {
      lora.modules[std::string(module)].a = AsFloat32(std::move(tensor));
    } else if (absl::ConsumeSuffix(&module, kB)) {
      lora.modules[std::string(module)].b = AsFloat32(std::move(tensor));
    } else if (absl::StrContains(module, "lora_")) {
      unknown.push_back(name);
    } else {
      lora.base_copies[std::string(module)] = std::move(tensor);
    }
  }
  if (!bare.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("names of tensors must begin with \"", kPrefix,
                     "\", of others PEFT loads nothing: ", Listed(std::move(bare), ", ")));
  if (!unknown.empty())
    return absl::FailedPreconditionError(absl::StrCat(
        "tensors that are no LoRA of a linear layer: ", Listed(std::move(unknown), ", ")));
  MELLOW_RETURN_IF_ERROR(ApplyRules(config.rules, &lora));
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
  MELLOW_ASSIGN_OR_RETURN(PeftConfig config, ParsePeftConfig(text, config_path));
  MELLOW_ASSIGN_OR_RETURN(TensorMap tensors, ReadTensors(folder));
  absl::StatusOr<LoraWeights> lora = Assemble(std::move(config), std::move(tensors));
  if (!lora.ok()) return Annotate(lora.status(), folder);
  return lora;
}

absl::Status WritePeftFiles(const std::string& folder, const PeftFiles& files) {
  const std::string card = files.model_card.empty()
                               ? SerializeModelCard({}, files.config_json, files.safetensors)
                               : files.model_card;
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFolder> target, AtomicFolder::Create(folder));
  for (const auto& [name, contents] :
       {std::pair(kConfigFile, &files.config_json), std::pair(kTensorFile, &files.safetensors),
        std::pair(kCardFile, &card)})
    MELLOW_RETURN_IF_ERROR(WriteFileSynced(absl::StrCat(target->staging(), "/", name), *contents));
  return target->Commit();
}

absl::Status WritePeftFolder(const std::string& folder, const LoraWeights& lora, ModelCard card) {
  PeftFiles files = SerializePeft(lora);
  card.adapter_sha256 = ContentHash(lora);
  files.model_card = SerializeModelCard(card, files.config_json, files.safetensors);
  return WritePeftFiles(folder, files);
}

PeftFiles SerializePeft(const LoraWeights& lora) {
  TensorMap tensors = NamedTensors(lora);
  for (const auto& [name, copy] : lora.base_copies) tensors[absl::StrCat(kPrefix, name)] = copy;
  // "format": peft refuses a file that does not say which framework its layout is meant for.
  return {SerializePeftConfig(lora), nn::SerializeSafetensors(tensors, {{"format", "pt"}}), ""};
}

absl::StatusOr<LoraWeights> ParsePeft(const PeftFiles& files) {
  MELLOW_ASSIGN_OR_RETURN(PeftConfig config, ParsePeftConfig(files.config_json, kConfigFile));
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
