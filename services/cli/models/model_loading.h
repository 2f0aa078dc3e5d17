#ifndef MELLOW_SERVICES_CLI_MODELS_MODEL_LOADING_H_
#define MELLOW_SERVICES_CLI_MODELS_MODEL_LOADING_H_

// Model folders as `probe` and `bench` take them: the same engines as the services', in this
// process.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/nn/load.h"

namespace CLI {
class App;
}  // namespace CLI

namespace mellow::cli {

struct ModelOptions {
  std::string model;
  std::string adapter;  // PEFT folder; empty: none
  std::string device = "auto";
  std::string dtype = "float32";
  int threads = 0;  // 0: all cores
};

// MODEL, --device, --threads, --dtype; with `adapter` also --adapter.
void AddModelFlags(CLI::App* sub, ModelOptions* options, bool adapter);

// What a model's configuration says and nobody here knows: one line each on standard error.
void PrintWarnings(const std::vector<std::string>& warnings);

[[nodiscard]] int ThreadsOf(const ModelOptions& options);
[[nodiscard]] absl::StatusOr<nn::LoadOptions> ToLoadOptions(const ModelOptions& options);

struct LoadedPolicy {
  std::unique_ptr<nn::Seq2SeqModel> model;
  std::shared_ptr<const nn::PreparedAdapter> adapter;  // null: none
};
[[nodiscard]] absl::StatusOr<LoadedPolicy> LoadPolicy(const ModelOptions& options);
[[nodiscard]] absl::StatusOr<std::unique_ptr<nn::SequenceClassifier>> LoadReward(
    const ModelOptions& options);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_MODELS_MODEL_LOADING_H_
