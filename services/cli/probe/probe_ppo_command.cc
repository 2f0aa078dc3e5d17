// mellow probe ppo: PPO steps on given rollouts, to be compared with TRL.

#include "services/cli/probe/probe_ppo_command.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/nn/weights/safetensors.h"
#include "common/rl/ppo_trainer.h"
#include "services/cli/models/model_loading.h"
#include "services/cli/terminal/json_lines.h"
#include "services/wire/ppo_config.h"

namespace mellow::cli {
namespace {

struct ProbePpoOptions {
  ModelOptions model;
  std::string config;
  std::string out;
  int batch = 1;  // accepted like everywhere; a step's batch is in its line
  bool strict = false;
};

absl::StatusOr<rl::PpoConfig> ReadConfig(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  absl::StatusOr<rl::PpoConfig> config = wire::PpoConfigFromJson(text);
  if (!config.ok()) return Annotate(config.status(), path);
  // As everywhere, paths in a file are relative to the file.
  if (!config->value_head_file.empty()) {
    config->value_head_file =
        (std::filesystem::path(path).parent_path() / config->value_head_file).string();
  }
  return config;
}

absl::StatusOr<std::vector<std::vector<int32_t>>> IdLists(const json::Value& line,
                                                          const char* name) {
  const json::Value& field = line[name];
  if (!field.is_array())
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": a list of lists of token ids is needed"));
  std::vector<std::vector<int32_t>> lists;
  for (size_t i = 0; i < field.size(); ++i) {
    absl::StatusOr<std::vector<int32_t>> ids = IdsField(json::Value{{"ids", field[i]}}, "ids");
    if (!ids.ok()) return Annotate(ids.status(), absl::StrCat(name, "[", i, "]"));
    lists.push_back(*std::move(ids));
  }
  return lists;
}

absl::StatusOr<std::vector<rl::Rollout>> ReadRollouts(const json::Value& line) {
  MELLOW_RETURN_IF_ERROR(CheckFieldNames(line, {"queries", "responses", "scores"}));
  MELLOW_ASSIGN_OR_RETURN(std::vector<std::vector<int32_t>> queries, IdLists(line, "queries"));
  MELLOW_ASSIGN_OR_RETURN(std::vector<std::vector<int32_t>> responses, IdLists(line, "responses"));
  const json::Value& scores = line["scores"];
  if (!scores.is_array()) return absl::InvalidArgumentError("scores: a list of numbers is needed");
  if (responses.size() != queries.size() || scores.size() != queries.size()) {
    return absl::InvalidArgumentError(absl::StrCat(queries.size(), " queries, ", responses.size(),
                                                   " responses and ", scores.size(), " scores"));
  }
  std::vector<rl::Rollout> rollouts(queries.size());
  for (size_t i = 0; i < rollouts.size(); ++i) {
    if (!scores[i].To(&rollouts[i].score))
      return absl::InvalidArgumentError(absl::StrCat("scores[", i, "]: a number is needed"));
    rollouts[i].query_ids = std::move(queries[i]);
    rollouts[i].response_ids = std::move(responses[i]);
  }
  return rollouts;
}

absl::Status WriteResult(const rl::PpoTrainer& trainer, const std::string& config,
                         const std::string& folder) {
  const adapters::ModelCard card = {.method = "PPO",
                                    .facts = {{"steps", absl::StrCat(trainer.step())}},
                                    .settings_json = ReadFile(config).value_or("")};
  MELLOW_RETURN_IF_ERROR(adapters::WritePeftFolder(folder, trainer.Adapter(), card));
  const rl::ValueHead head = trainer.value_head();
  const auto width = static_cast<int64_t>(head.weight.size());
  nn::TensorMap tensors;
  tensors["v_head.summary.weight"] = nn::HostTensor::FromFloat32(head.weight, {1, width});
  tensors["v_head.summary.bias"] = nn::HostTensor::FromFloat32({head.bias}, {1});
  return nn::WriteSafetensors(absl::StrCat(folder, "/value_head.safetensors"), tensors);
}

absl::StatusOr<int> ProbePpo(const ProbePpoOptions& options) {
  if (options.model.dtype != "float32")
    return absl::InvalidArgumentError(
        absl::StrCat("--dtype ", options.model.dtype, ": say it as `precision` in --config"));
  MELLOW_ASSIGN_OR_RETURN(const rl::PpoConfig config, ReadConfig(options.config));
  std::optional<nn::LoraWeights> start;
  if (!options.model.adapter.empty()) {
    MELLOW_ASSIGN_OR_RETURN(start, adapters::ReadPeftFolder(options.model.adapter));
  }
  train::TrainerOptions trainer_options = {.threads = ThreadsOf(options.model)};
  MELLOW_ASSIGN_OR_RETURN(trainer_options.device, nn::ResolveDevice(options.model.device));
  MELLOW_ASSIGN_OR_RETURN(
      const std::unique_ptr<rl::PpoTrainer> trainer,
      rl::PpoTrainer::Create(options.model.model, config, start, trainer_options));
  PrintWarnings(trainer->model_config().warnings);
  const LineCounts counts = AnswerInBatches(
      std::cin, std::cout, 1,
      [&](const std::vector<json::Value>& lines) -> absl::StatusOr<std::vector<json::Value>> {
        MELLOW_ASSIGN_OR_RETURN(const std::vector<rl::Rollout> rollouts, ReadRollouts(lines[0]));
        MELLOW_ASSIGN_OR_RETURN(const rl::StepResult result, trainer->Step(rollouts));
        return std::vector<json::Value>{result.stats};
      });
  if (!options.out.empty())
    MELLOW_RETURN_IF_ERROR(WriteResult(*trainer, options.config, options.out));
  return FilterExitCode(counts, options.strict);
}

}  // namespace

void AddProbePpoCommand(CLI::App* probe, Action* chosen) {
  auto options = std::make_shared<ProbePpoOptions>();
  CLI::App* sub = probe->add_subcommand("ppo",
                                        "PPO steps: {\"queries\": [[...]], \"responses\": [[...]], "
                                        "\"scores\": [...]}, one step per line");
  AddModelFlags(sub, &options->model, true);
  sub->add_option("--config", options->config, "PpoConfig in proto JSON, names as in TRL")
      ->required();
  sub->add_option("--out", options->out,
                  "Folder for the adapter (PEFT) and value_head.safetensors after the last step");
  AddStrictFlag(sub, &options->strict);
  sub->add_option("--batch", options->batch,
                  "No effect: a step is computed as its configuration says");
  sub->footer(
      "Example:\n  mellow probe ppo deploy/models/mini-summarizer --config ppo.json --out "
      "/tmp/adapter < steps.jsonl");
  sub->callback([=] { *chosen = [=] { return ProbePpo(*options); }; });
}

}  // namespace mellow::cli
