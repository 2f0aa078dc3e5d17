#include "common/nn/roberta_labels.h"

#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mellow::nn {
namespace {

constexpr int kMaxLabels = 10'000;

// id2label is an object with the ids as text: {"0": "nothate", "1": "hate"}. A name may also be a
// number.
void ReadNames(json::FieldReader* fields, RobertaConfig* config) {
  int count = 2;  // transformers' default
  fields->Int("num_labels", 1, kMaxLabels, &count);
  const json::Value* id2label = fields->Find("id2label");
  if (id2label == nullptr) {
    for (int i = 0; i < count; ++i) config->labels.push_back(absl::StrCat("LABEL_", i));
    config->numeric_labels.assign(config->labels.size(), false);
    return;
  }
  constexpr char kExpected[] = "names for the ids 0, 1, 2...";
  if (!id2label->is_object() || id2label->empty() || id2label->size() > kMaxLabels)
    return fields->Reject("id2label", kExpected);
  std::map<int, const json::Value*> by_id;
  for (const auto& [key, name] : id2label->members()) {
    int id = 0;
    if (!absl::SimpleAtoi(key, &id) || key != absl::StrCat(id) ||
        !(name.is_string() || name.is_integer()))
      return fields->Reject("id2label", kExpected);
    by_id[id] = &name;
  }
  if (by_id.begin()->first != 0 || by_id.rbegin()->first != static_cast<int>(by_id.size()) - 1)
    return fields->Reject("id2label", kExpected);
  for (const auto& [id, name] : by_id) {
    config->labels.push_back(name->is_string() ? name->string() : json::Write(*name));
    config->numeric_labels.push_back(!name->is_string());
  }
}

}  // namespace

void ReadLabels(json::FieldReader* fields, RobertaConfig* config) {
  ReadNames(fields, config);
  config->problem_type =
      config->labels.size() == 1 ? ProblemType::kMultiLabel : ProblemType::kSingleLabel;
  if (fields->Find("problem_type") == nullptr) return;
  std::string name;
  fields->String("problem_type", &name);
  if (name == ProblemTypeName(ProblemType::kRegression)) {
    config->problem_type = ProblemType::kRegression;
  } else if (name == ProblemTypeName(ProblemType::kMultiLabel)) {
    config->problem_type = ProblemType::kMultiLabel;
  } else if (name != ProblemTypeName(ProblemType::kSingleLabel)) {
    fields->Reject("problem_type",
                   "single_label_classification, multi_label_classification or regression");
  }
}

}  // namespace mellow::nn
