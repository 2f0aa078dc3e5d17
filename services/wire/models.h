#ifndef MELLOW_SERVICES_WIRE_MODELS_H_
#define MELLOW_SERVICES_WIRE_MODELS_H_

// What every program says of models in the same way. The validators are for CLI::Option::transform.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace mellow::wire {

// A model folder, or a model's name on the Hugging Face Hub ("google/flan-t5-base", also with
// "@REVISION"), which becomes its folder in the Hub's cache.
[[nodiscard]] CLI::Validator ModelFolder();

// A storage type of weights by any of its names ("bf16"), which becomes the long one.
[[nodiscard]] CLI::Validator WeightTypeFlag();

// What a model's configuration says and nobody here knows: a warning each.
void LogModelWarnings(const std::vector<std::string>& warnings);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_MODELS_H_
