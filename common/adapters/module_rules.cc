#include "common/adapters/module_rules.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mellow::adapters {
namespace {

using json::FieldReader;

constexpr size_t kMaxNames = 10'000;
constexpr size_t kMaxPatternKeys = 1024;   // T5-11B has 432 linear layers
constexpr size_t kMaxMatches = 4'000'000;  // seconds
constexpr char kAllLinear[] = "all-linear";
constexpr char kHead[] = "lm_head";

// Null, "" and [] choose nothing and leave nothing out.
bool IsSet(const json::Value* value) {
  return value != nullptr && *value != "" && !(value->is_array() && value->empty());
}

std::optional<PythonRegex> Compile(const char* field, absl::string_view pattern,
                                   FieldReader* fields) {
  absl::StatusOr<PythonRegex> regex = PythonRegex::Compile(pattern);
  if (regex.ok()) return *std::move(regex);
  fields->Reject(field, regex.status().message());
  return std::nullopt;
}

void ReadNames(const char* field, const json::Value& value, const char* expected,
               FieldReader* fields, NamePattern* pattern) {
  if (value.is_string()) {
    pattern->regex = Compile(field, value.string(), fields);
    return;
  }
  if (!value.is_array() || value.size() > kMaxNames) return fields->Reject(field, expected);
  std::set<std::string> names;  // PEFT writes a Python set, in any order
  for (const json::Value& name : value.elements()) {
    if (!name.is_string() || name.string().empty()) return fields->Reject(field, expected);
    names.insert(name.string());
  }
  pattern->names.assign(names.begin(), names.end());
}

}  // namespace

bool NamePattern::Matches(const std::string& module) const {
  if (regex) return regex->FullMatch(module);
  // Looked up part by part: a file may have thousands of names and of modules.
  for (size_t at = 0;; ++at) {
    if (std::binary_search(names.begin(), names.end(), module.substr(at))) return true;
    at = module.find('.', at);
    if (at == std::string::npos) return false;
  }
}

ModuleRules::ModuleRules(FieldReader* fields) {
  ReadTargets(fields);
  ReadLayers(fields);
  ReadPattern("rank_pattern", 1, 1 << 16, fields, &ranks_);
  ReadPattern("alpha_pattern", 0, 1e9, fields, &alphas_);
  says_version_ = fields->Find("peft_version") != nullptr;
  if (!targets_.regex && !all_linear_ && excluded_.empty() && !some_layers_)
    plain_targets_ = targets_.names;
}

void ModuleRules::ReadTargets(FieldReader* fields) {
  constexpr char kExpected[] = "a list of module names, a regular expression or \"all-linear\"";
  const json::Value* targets = fields->Find("target_modules");
  if (!IsSet(targets)) {
    fields->Reject("target_modules", kExpected);
  } else if (targets->is_string() && absl::EqualsIgnoreCase(targets->string(), kAllLinear)) {
    all_linear_ = true;
  } else {
    ReadNames("target_modules", *targets, kExpected, fields, &targets_);
  }
  const json::Value* excluded = fields->Find("exclude_modules");
  if (IsSet(excluded))
    ReadNames("exclude_modules", *excluded, "a list of module names or a regular expression",
              fields, &excluded_);
}

void ModuleRules::ReadLayers(FieldReader* fields) {
  constexpr char kLayers[] = "layers_to_transform";
  constexpr char kPattern[] = "layers_pattern";
  const json::Value* layers = fields->Find(kLayers);
  if (!IsSet(layers)) return;  // layers_pattern alone does nothing
  if (targets_.regex || all_linear_)
    return fields->Reject(kLayers, "it unset, because target_modules is not a list");
  const auto add = [&](const json::Value& layer) { return layer.To(&layers_.emplace_back()); };
  if (layers->is_array() ? layers->size() > kMaxNames || !std::all_of(layers->elements().begin(),
                                                                      layers->elements().end(), add)
                         : !add(*layers))
    return fields->Reject(kLayers, "a layer's index or a list of them");
  some_layers_ = true;

  std::vector<std::string> names;
  const json::Value* pattern = fields->Find(kPattern);
  if (IsSet(pattern)) {
    const auto take = [&](const json::Value& name) {
      if (!name.is_string() || absl::StrContains(name.string(), '(')) return false;
      names.push_back(name.string());
      return true;
    };
    if (pattern->is_array() ? pattern->size() > 16 || !std::all_of(pattern->elements().begin(),
                                                                   pattern->elements().end(), take)
                            : !take(*pattern))
      return fields->Reject(kPattern, "names of module lists, without groups");
  } else {
    names.push_back("[^.]*");
  }
  // PEFT 0.21 takes the first index of the name, 0.13 the last: in T5, of the block or of the layer
  // in the block.
  const char* const first = IsSet(pattern) ? "(?:^|.*?\\.)" : ".*?\\.";
  for (const char* before : {first, ".*\\."}) {
    for (const std::string& name : names) {
      if (auto regex = Compile(kPattern, absl::StrCat(before, name, "\\.(\\d+)\\."), fields))
        layer_index_.push_back(*std::move(regex));
    }
  }
}

template <class Number>
void ModuleRules::ReadPattern(const char* field, double min, double max, FieldReader* fields,
                              Pattern<Number>* pattern) {
  const json::Value* value = fields->Find(field);
  if (value == nullptr) return;
  const std::string expected =
      absl::StrCat("an object of at most ", kMaxPatternKeys, " module names with ",
                   std::is_integral_v<Number> ? "whole " : "", "numbers from ", min, " to ", max);
  if (!value->is_object() || value->size() > kMaxPatternKeys)
    return fields->Reject(field, expected);
  for (const auto& [key, number] : value->members()) {
    Number read = 0;
    if (!number.To(&read) || !(read >= min && read <= max)) return fields->Reject(field, expected);
    auto before = Compile(field, absl::StrCat(".*\\.", key, "$"), fields);
    auto now = Compile(field, absl::StrCat("(.*\\.)?(", key, ")$"), fields);
    if (!before || !now) return;
    pattern->keys.push_back({key, *std::move(before), *std::move(now)});
    pattern->values[key] = read;
  }
}

bool ModuleRules::InLayers(const std::string& module) const {
  // A module that is named in full is adapted whatever its layer.
  if (!some_layers_ || std::binary_search(targets_.names.begin(), targets_.names.end(), module))
    return true;
  return std::any_of(layer_index_.begin(), layer_index_.end(), [&](const PythonRegex& regex) {
    const std::optional<std::string> text = regex.FirstGroup(module);
    int64_t index = 0;
    return text && absl::SimpleAtoi(*text, &index) &&
           std::find(layers_.begin(), layers_.end(), index) != layers_.end();
  });
}

std::string ModuleRules::WhyNotChosen(const std::string& module) const {
  if (!excluded_.empty() && excluded_.Matches(module)) return "is among exclude_modules";
  if (all_linear_) return module == kHead ? "is not among target_modules (all-linear)" : "";
  if (!targets_.Matches(module)) return "is not among target_modules";
  return InLayers(module) ? "" : "is in none of layers_to_transform";
}

double ModuleRules::AlphaOf(const std::string& module, int64_t rank, int default_rank,
                            double default_alpha, std::string* problem) const {
  const auto first = [&](const auto& pattern, PythonRegex PatternKey::*rule) -> const std::string& {
    for (const PatternKey& key : pattern.keys) {
      if ((key.*rule).Match(module)) return key.name;
    }
    return module;
  };
  // 0.21 looks in each pattern; 0.13 in both together, and takes one key for both.
  const int64_t rank_now = ranks_.Get(first(ranks_, &PatternKey::now), default_rank);
  const double alpha_now = alphas_.Get(first(alphas_, &PatternKey::now), default_alpha);
  std::string key = first(ranks_, &PatternKey::before);
  if (key == module) key = first(alphas_, &PatternKey::before);
  const int64_t rank_before = ranks_.Get(key, default_rank);
  const double alpha_before = alphas_.Get(key, default_alpha);

  if (rank != rank_now && rank != rank_before) {
    *problem = absl::StrCat("do not fit r ", rank_now);
    return 0;
  }
  if (rank != rank_before || says_version_) {
    if (rank != rank_now) *problem = absl::StrCat("do not fit r ", rank_now);
    return alpha_now;
  }
  if (rank != rank_now) return alpha_before;
  if (alpha_now != alpha_before) {
    *problem = absl::StrCat("have lora_alpha ", alpha_before, " or ", alpha_now,
                            " by alpha_pattern, depending on PEFT's version, which is not said");
  }
  return alpha_now;
}

std::string ModuleRules::WhyTooMany(size_t modules) const {
  const size_t matches =
      modules * (1 + ranks_.keys.size() + alphas_.keys.size() + layer_index_.size());
  if (matches <= kMaxMatches) return "";
  return absl::StrCat(modules, " modules for ", ranks_.keys.size() + alphas_.keys.size(),
                      " patterns are more than Mellow matches");
}

}  // namespace mellow::adapters
