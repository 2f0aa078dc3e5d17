// mellow probe policy, generate and reward: the services' engines on JSON lines, without a service.
// (probe ppo: probe_ppo_command.cc)

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/generation/generate.h"
#include "common/nn/labels.h"
#include "common/nn/weights/finite.h"
#include "common/text/classifier_input.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/models/model_loading.h"
#include "services/cli/probe/probe_ppo_command.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/json_lines.h"

namespace mellow::cli {
namespace {

struct ProbeOptions {
  ModelOptions model;
  int batch = 1;
  bool strict = false;
};

absl::StatusOr<int> ProbePolicy(const ProbeOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const LoadedPolicy policy, LoadPolicy(options.model));
  const LineCounts counts = AnswerInBatches(
      std::cin, std::cout, options.batch,
      [&](const std::vector<json::Value>& lines) -> absl::StatusOr<std::vector<json::Value>> {
        std::vector<std::vector<int32_t>> sources;
        std::vector<std::vector<int32_t>> targets;
        for (const json::Value& line : lines) {
          MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"source_ids", "target_ids"}));
          MELLOW_ASSIGN_OR_RETURN(sources.emplace_back(), IdsField(line, "source_ids"));
          MELLOW_ASSIGN_OR_RETURN(targets.emplace_back(), IdsField(line, "target_ids"));
        }
        std::vector<nn::ScoreRequest> requests;
        for (size_t i = 0; i < lines.size(); ++i)
          requests.push_back({sources[i], targets[i], policy.adapter.get()});
        MELLOW_ASSIGN_OR_RETURN(const auto logprobs, policy.model->ScoreTokens(requests));
        std::vector<json::Value> answers;
        for (const std::vector<float>& row : logprobs) answers.push_back({{"logprobs", row}});
        return answers;
      });
  return FilterExitCode(counts, options.strict);
}

// Stores the field when it is there. InvalidArgument: not a whole number, or not one that `out` can
// hold.
template <typename T>
absl::Status ReadInt(const json::Value& line, const char* name, T* out) {
  MELLOW_ASSIGN_OR_RETURN(const std::optional<int64_t> value, OptionalInt(line, name));
  if (!value.has_value()) return absl::OkStatus();
  const bool fits =
      std::is_unsigned_v<T>
          ? *value >= 0 && static_cast<uint64_t>(*value) <= std::numeric_limits<T>::max()
          : *value >= std::numeric_limits<int>::min() && *value <= std::numeric_limits<int>::max();
  if (!fits)
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", *value, " is out of range"));
  *out = static_cast<T>(*value);
  return absl::OkStatus();
}

absl::StatusOr<nn::GenerateItem> ReadGenerateItem(const json::Value& line,
                                                  const LoadedPolicy& policy) {
  static const auto& known = *new std::vector<std::string>([] {
    std::vector<std::string> names = nn::SamplingFieldNames();
    names.insert(names.begin(), "source_ids");
    names.insert(names.end(), {"seed", "prompt_index", "sample_index"});
    return names;
  }());
  for (const auto& [name, value] : line.members()) {
    if (nn::IsUnsupportedGenerationField(name))
      return absl::InvalidArgumentError(absl::StrCat(name, ": is not implemented"));
  }
  MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, known));
  nn::GenerateItem item;
  item.adapter = policy.adapter.get();
  item.mask_padding = true;  // as generate() has it, which is given ids alone
  MELLOW_ASSIGN_OR_RETURN(item.source_ids, IdsField(line, "source_ids"));
  const nn::T5Config& config = policy.model->config();
  MELLOW_ASSIGN_OR_RETURN(
      item.params, nn::ReadSampling(line,
                                    config.generation.Defaults(nn::SamplingParams().max_new_tokens,
                                                               std::numeric_limits<int>::max()),
                                    config.vocab_size));
  MELLOW_RETURN_IF_ERROR(ReadInt(line, "seed", &item.params.seed));
  MELLOW_RETURN_IF_ERROR(ReadInt(line, "prompt_index", &item.stream.prompt_index));
  MELLOW_RETURN_IF_ERROR(ReadInt(line, "sample_index", &item.stream.sample_index));
  return item;
}

absl::StatusOr<int> ProbeGenerate(const ProbeOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const LoadedPolicy policy, LoadPolicy(options.model));
  const LineCounts counts = AnswerInBatches(
      std::cin, std::cout, options.batch,
      [&](const std::vector<json::Value>& lines) -> absl::StatusOr<std::vector<json::Value>> {
        std::vector<nn::GenerateItem> items;
        for (const json::Value& line : lines) {
          MELLOW_ASSIGN_OR_RETURN(items.emplace_back(), ReadGenerateItem(line, policy));
        }
        MELLOW_ASSIGN_OR_RETURN(const auto sequences, nn::Generate(*policy.model, items));
        std::vector<json::Value> answers;
        for (const nn::GeneratedSequence& s : sequences) {
          answers.push_back({{"ids", s.ids},
                             {"logprobs", s.logprobs},
                             {"finish", s.finish == nn::FinishReason::kEos ? "eos" : "length"}});
        }
        return answers;
      });
  return FilterExitCode(counts, options.strict);
}

// As id2label has it.
json::Value LabelJson(const nn::RobertaConfig& config, size_t label) {
  const std::string& name = config.labels[label];
  return config.numeric_labels[label] ? json::Parse(name, "").value_or(name) : json::Value(name);
}

absl::StatusOr<int> ProbeReward(const ProbeOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<nn::SequenceClassifier> model,
                          LoadReward(options.model));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model.model));
  const LineCounts counts = AnswerInBatches(
      std::cin, std::cout, options.batch,
      [&](const std::vector<json::Value>& lines) -> absl::StatusOr<std::vector<json::Value>> {
        std::vector<std::vector<int32_t>> sequences;
        for (const json::Value& line : lines) {
          MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"text", "text_pair"}));
          MELLOW_ASSIGN_OR_RETURN(const std::string text, TextField(line, "text"));
          MELLOW_ASSIGN_OR_RETURN(const std::string pair, TextField(line, "text_pair", ""));
          MELLOW_ASSIGN_OR_RETURN(
              text::ClassifierInput input,
              text::EncodeForClassifier(*tokenizer, text, pair, model->config().max_tokens()));
          sequences.push_back(std::move(input.ids));
        }
        MELLOW_ASSIGN_OR_RETURN(const auto logits, model->Classify(sequences));
        MELLOW_RETURN_IF_ERROR(nn::CheckComputed(logits, "logits"));
        std::vector<json::Value> answers;
        for (const std::vector<float>& row : logits) {
          const auto best =
              static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
          answers.push_back(
              {{"logits", row},
               {"probabilities", nn::Probabilities(row, model->config().problem_type)},
               {"label", LabelJson(model->config(), best)}});
        }
        return answers;
      });
  return FilterExitCode(counts, options.strict);
}

}  // namespace

void AddProbeCommands(CLI::App* app, Action* chosen) {
  CLI::App* probe =
      app->add_subcommand("probe", "Run a model folder on JSON lines without any service");
  probe->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, const char* footer, bool adapter,
                       absl::StatusOr<int> (*run)(const ProbeOptions&)) {
    auto options = std::make_shared<ProbeOptions>();
    CLI::App* sub = probe->add_subcommand(name, what);
    AddModelFlags(sub, &options->model, adapter);
    sub->add_option("--batch", options->batch, "Lines computed together")
        ->capture_default_str()
        ->check(CLI::Range(1, 4096));
    AddStrictFlag(sub, &options->strict);
    sub->footer(footer);
    sub->callback([=] { *chosen = [=] { return run(*options); }; });
  };
  add("policy", "Log-probs of given targets: {\"source_ids\": [...], \"target_ids\": [...]}",
      "Example:\n  echo '{\"source_ids\": [5, 6, 1], \"target_ids\": [7, 1]}' | mellow probe "
      "policy deploy/models/mini-summarizer",
      true, ProbePolicy);
  add("generate",
      "Generate: {\"source_ids\": [...], \"max_new_tokens\": n, ...}, names as transformers' "
      "GenerationConfig; what is not said is as the model's generation_config.json has it",
      "Example:\n  echo '{\"source_ids\": [5, 6, 1], \"max_new_tokens\": 20, \"do_sample\": true}' "
      "| mellow probe generate deploy/models/mini-summarizer",
      true, ProbeGenerate);
  add("reward", "Classify: {\"text\": ...}, or with it {\"text_pair\": ...}",
      "Example:\n  echo '{\"text\": \"Well done.\"}' | mellow probe reward "
      "deploy/models/mini-toxicity",
      false, ProbeReward);
  AddProbePpoCommand(probe, chosen);
}

}  // namespace mellow::cli
