#ifndef MELLOW_COMMON_ADAPTERS_MODULE_RULES_H_
#define MELLOW_COMMON_ADAPTERS_MODULE_RULES_H_

// Which modules an adapter_config.json chooses, and with which rank and alpha: PEFT's rules. They
// changed between 0.13 and 0.21, and a file does not always say which version made it; its tensors
// show what the rules came to.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/adapters/python_regex.h"
#include "common/json/fields.h"

namespace mellow::adapters {

// A list of names (a module is meant when it is equal, or ends with "." and the name) or a regular
// expression that the whole name must match.
class NamePattern {
 public:
  [[nodiscard]] bool Matches(const std::string& module) const;
  [[nodiscard]] bool empty() const { return names.empty() && !regex; }

  std::vector<std::string> names;
  std::optional<PythonRegex> regex;
};

class ModuleRules {
 public:
  // Takes the fields target_modules, exclude_modules, layers_to_transform, layers_pattern,
  // rank_pattern, alpha_pattern and peft_version; what is wrong is noted in `fields`. The file's
  // order decides between patterns that both match.
  explicit ModuleRules(json::FieldReader* fields);

  // target_modules when it is a list and nothing else takes part; else empty: only the file's
  // tensors say which modules are adapted.
  [[nodiscard]] const std::vector<std::string>& plain_targets() const { return plain_targets_; }

  // Why PEFT would leave the module's tensors aside ("is not among target_modules"), or empty.
  [[nodiscard]] std::string WhyNotChosen(const std::string& module) const;

  // The module's alpha, given the defaults and the rank that its tensors have; or, in *problem, why
  // they do not fit.
  [[nodiscard]] double AlphaOf(const std::string& module, int64_t rank, int default_rank,
                               double default_alpha, std::string* problem) const;

  // Bounds the work of an untrusted file. Empty: they can be matched.
  [[nodiscard]] std::string WhyTooMany(size_t modules) const;

 private:
  // A key of rank_pattern or alpha_pattern as the versions of PEFT read it.
  struct PatternKey {
    std::string name;
    PythonRegex before;  // 0.13: .*\.KEY$
    PythonRegex now;     // 0.21: (.*\.)?(KEY)$
  };
  template <class Number>
  struct Pattern {
    std::vector<PatternKey> keys;
    std::map<std::string, Number> values;
    // The value of the first key that matches, or of the module's own name.
    [[nodiscard]] Number Get(const std::string& key, Number otherwise) const {
      const auto it = values.find(key);
      return it == values.end() ? otherwise : it->second;
    }
  };

  void ReadTargets(json::FieldReader* fields);
  void ReadLayers(json::FieldReader* fields);
  template <class Number>
  void ReadPattern(const char* field, double min, double max, json::FieldReader* fields,
                   Pattern<Number>* pattern);
  [[nodiscard]] bool InLayers(const std::string& module) const;

  bool all_linear_ = false;
  NamePattern targets_;
  NamePattern excluded_;
  std::vector<std::string> plain_targets_;
  bool some_layers_ = false;  // only those in layers_
  std::vector<int64_t> layers_;
  std::vector<PythonRegex> layer_index_;  // each has the index as its first group
  Pattern<int64_t> ranks_;
  Pattern<double> alphas_;
  bool says_version_ = false;  // since 0.18, which has the rules of 0.21
};

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_MODULE_RULES_H_
