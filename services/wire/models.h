#ifndef MELLOW_SERVICES_WIRE_MODELS_H_
#define MELLOW_SERVICES_WIRE_MODELS_H_

// What every program says of models in the same way. The validators are for CLI::Option::transform.

#include <CLI/CLI.hpp>
#include <string>

namespace mellow::wire {

// A model folder, or a model's name on the Hugging Face Hub ("google/flan-t5-base", also with
// "@REVISION"), which becomes its folder in the Hub's cache.
[[nodiscard]] CLI::Validator ModelFolder();

// A storage type of weights by any of its names ("bf16"), which becomes the long one.
[[nodiscard]] CLI::Validator WeightTypeFlag();

// --model, --device, --threads and --dtype of a server with a model of this family.
void AddModelFlags(CLI::App* app, const std::string& family, std::string* model,
                   std::string* device, int* threads, std::string* dtype);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_MODELS_H_
