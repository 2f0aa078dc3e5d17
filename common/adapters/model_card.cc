#include "common/adapters/model_card.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/json/value.h"
#include "common/nn/lora.h"

namespace mellow::adapters {
namespace {

constexpr size_t kMaxShown = 2000;

// A value as code on one line. Names of runs and files are whatever a user gave them.
std::string Code(absl::string_view text) {
  std::string shown(text.substr(0, kMaxShown));
  for (char& c : shown) {
    if (absl::ascii_iscntrl(c)) c = ' ';
    if (c == '`') c = '\'';
    if (c == '|') c = '/';
  }
  return absl::StrCat("`", shown, "`");
}

// A field of a config that may be anything.
std::string Text(const json::Value& config, const char* field) {
  const json::Value& value = config[field];
  if (value.is_null()) return "";
  return value.is_string() ? value.string() : json::Write(value);
}

// Where files lay on the machine that trained is nobody's business.
void ShortenPaths(json::Value* value) {
  const std::string& text = value->string();
  if (text.size() > 1 && text[0] == '/') {
    *value = text.substr(text.find_last_of('/') + 1);
  } else if (json::Array* elements = value->mutable_elements()) {
    for (json::Value& element : *elements) ShortenPaths(&element);
  } else if (json::Object* members = value->mutable_members()) {
    for (json::Member& member : *members) ShortenPaths(&member.value);
  }
}

void AddMetadata(const ModelCard& card, const std::string& base, std::string* out) {
  absl::StrAppend(out, "---\n");
  // The Hub refuses a card whose base_model is a folder.
  const bool on_hub = nn::LooksLikeHubId(base);
  if (on_hub) {
    absl::StrAppend(out, "base_model: ", base, "\nbase_model_relation: adapter\n");
  } else {
    absl::StrAppend(out, "# base_model: the Hub id of the base, which was a folder in training\n");
  }
  absl::StrAppend(out,
                  "library_name: peft\npipeline_tag: summarization\ntags:\n- lora\n- mellow\n");
  if (on_hub) absl::StrAppend(out, "- base_model:adapter:", base, "\n");
  if (card.method == "PPO") absl::StrAppend(out, "- ppo\n- reinforcement-learning\n");
  absl::StrAppend(out, "---\n");
}

void AddTraining(const ModelCard& card, std::string* out) {
  if (card.method.empty() && card.facts.empty()) return;
  absl::StrAppend(out, "\n## Training\n\n");
  if (!card.method.empty()) absl::StrAppend(out, "- method: ", card.method, "\n");
  for (const auto& [name, value] : card.facts) {
    if (!value.empty()) absl::StrAppend(out, "- ", name, ": ", Code(value), "\n");
  }
  absl::StatusOr<json::Value> settings = json::Parse(card.settings_json, "");
  if (!settings.ok()) return;
  ShortenPaths(&*settings);
  absl::StrAppend(out, "\nSettings:\n\n```json\n", json::Write(*settings, {.indentation = 2}),
                  "\n```\n");
}

}  // namespace

std::string SerializeModelCard(const ModelCard& card, absl::string_view config_json,
                               absl::string_view safetensors) {
  const json::Value config = json::Parse(config_json, "").value_or(json::Value());
  const std::string base = Text(config, "base_model_name_or_path");
  const std::string revision = Text(config, "revision");
  std::string out;
  AddMetadata(card, base, &out);
  absl::StrAppend(&out, "\n# LoRA adapter\n\n");
  if (!base.empty()) {
    absl::StrAppend(&out, "- base model: ", Code(base),
                    revision.empty() ? "" : absl::StrCat(", revision ", Code(revision)), "\n");
  }
  for (const char* field : {"r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules",
                            "rank_pattern", "alpha_pattern"}) {
    const std::string value = Text(config, field);
    if (!value.empty() && value != "{}")
      absl::StrAppend(&out, "- ", field, ": ", Code(value), "\n");
  }
  AddTraining(card, &out);
  absl::StrAppend(&out, "\n## Hashes\n\n- sha256 of adapter_model.safetensors: `",
                  Sha256Hex(safetensors), "`\n");
  if (!card.adapter_sha256.empty()) {
    absl::StrAppend(&out, "- sha256 over the tensors (what Mellow calls this adapter): ",
                    Code(card.adapter_sha256), "\n");
  }
  return out;
}

std::string WithEvaluation(absl::string_view card, const CardEvaluation& evaluation) {
  if (evaluation.figures.empty()) return std::string(card);
  constexpr absl::string_view kHeading = "\n## Evaluation\n\n";
  std::string out = absl::StrCat(card.substr(0, card.find(kHeading)), kHeading);
  if (!evaluation.name.empty())
    absl::StrAppend(&out, "- evaluation: ", Code(evaluation.name), "\n");
  if (!evaluation.sha256.empty())
    absl::StrAppend(&out, "- sha256 of its configuration: ", Code(evaluation.sha256), "\n");
  if (!evaluation.remark.empty()) absl::StrAppend(&out, "- ", Code(evaluation.remark), "\n");
  absl::StrAppend(&out, "\n| gate | passed | figures |\n|---|---|---|\n");
  for (const CardEvaluation::Figure& figure : evaluation.figures) {
    absl::StrAppend(&out, "| ", Code(figure.name), " | ", figure.passed ? "yes" : "no", " | ",
                    Code(figure.detail), " |\n");
  }
  return out;
}

}  // namespace mellow::adapters
