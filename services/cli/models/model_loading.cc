#include "services/cli/models/model_loading.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/status.h"
#include "services/cli/terminal/printable.h"
#include "services/wire/models.h"

namespace mellow::cli {

void AddModelFlags(CLI::App* sub, ModelOptions* options, bool adapter) {
  sub->add_option("MODEL", options->model,
                  "Hugging Face model folder, or ORG/NAME[@REVISION] of the Hub's cache")
      ->transform(wire::ModelFolder())
      ->required();
  if (adapter) {
    sub->add_option("--adapter", options->adapter, "PEFT adapter folder [none]")
        ->transform(wire::ModelFolder());
  }
  sub->add_option("--device", options->device,
                  "Where the model runs; auto: CUDA where there is one")
      ->type_name("auto|cpu|cuda|cuda:N")
      ->capture_default_str();
  sub->add_option("--threads", options->threads, "CPU threads; 0: all cores")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  sub->add_option("--dtype", options->dtype, "Frozen weights")
      ->type_name("float32|bfloat16|float16|int8")
      ->transform(wire::WeightTypeFlag())
      ->capture_default_str();
}

void PrintWarnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings)
    std::fprintf(stderr, "mellow: warning: %s\n", PrintableLine(warning).c_str());
}

int ThreadsOf(const ModelOptions& options) {
  return options.threads > 0 ? options.threads
                             : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

absl::StatusOr<nn::LoadOptions> ToLoadOptions(const ModelOptions& options) {
  nn::LoadOptions load = {.threads = ThreadsOf(options)};
  MELLOW_ASSIGN_OR_RETURN(load.device, nn::ResolveDevice(options.device));
  absl::StatusOr<nn::WeightType> weights = nn::ParseWeightType(options.dtype);
  if (!weights.ok()) return Annotate(weights.status(), "--dtype");
  load.weights = *weights;
  return load;
}

absl::StatusOr<LoadedPolicy> LoadPolicy(const ModelOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const nn::LoadOptions load, ToLoadOptions(options));
  LoadedPolicy policy;
  MELLOW_ASSIGN_OR_RETURN(policy.model, nn::LoadSeq2SeqModel(options.model, load));
  PrintWarnings(policy.model->config().warnings);
  if (options.adapter.empty()) return policy;
  MELLOW_ASSIGN_OR_RETURN(const nn::LoraWeights lora, adapters::ReadPeftFolder(options.adapter));
  auto prepared = policy.model->Prepare(lora);
  if (!prepared.ok()) return Annotate(prepared.status(), options.adapter);
  policy.adapter = *std::move(prepared);
  return policy;
}

absl::StatusOr<std::unique_ptr<nn::SequenceClassifier>> LoadReward(const ModelOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const nn::LoadOptions load, ToLoadOptions(options));
  MELLOW_ASSIGN_OR_RETURN(auto model, nn::LoadSequenceClassifier(options.model, load));
  PrintWarnings(model->config().warnings);
  return model;
}

}  // namespace mellow::cli
