#ifndef MELLOW_SERVICES_WIRE_MODEL_FLAGS_H_
#define MELLOW_SERVICES_WIRE_MODEL_FLAGS_H_

// What flags of every program say of models in the same way; for CLI::Option::transform.

#include <CLI/CLI.hpp>

namespace mellow::wire {

// A model folder, or a model's name on the Hugging Face Hub ("google/flan-t5-base", also with
// "@REVISION"), which becomes its folder in the Hub's cache.
[[nodiscard]] CLI::Validator ModelFolder();

// A storage type of weights by any of its names ("bf16"), which becomes the long one.
[[nodiscard]] CLI::Validator WeightTypeFlag();

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_MODEL_FLAGS_H_
