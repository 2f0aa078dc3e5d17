#ifndef MELLOW_COMMON_ADAPTERS_MODEL_CARD_H_
#define MELLOW_COMMON_ADAPTERS_MODEL_CARD_H_

// README.md of an adapter folder: the model card that the Hub shows, with YAML metadata before the
// text. The same facts give the same bytes.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::adapters {

// What the card says besides what is in the adapter's own files. Everything may be empty.
struct ModelCard {
  std::string method;  // "PPO"
  // Name and value, in order: {"data", "dialogsum.csv"}.
  std::vector<std::pair<std::string, std::string>> facts;
  std::string settings_json;   // of the run; absolute paths are shown by their last part
  std::string adapter_sha256;  // ContentHash
};

// The file's text for these contents of adapter_config.json and adapter_model.safetensors. Never
// fails: what cannot be read from the config is left out.
[[nodiscard]] std::string SerializeModelCard(const ModelCard& card, absl::string_view config_json,
                                             absl::string_view safetensors);

struct CardEvaluation {
  std::string name;
  std::string sha256;  // of its configuration
  // What was looked at, its figures (with intervals), and whether they were good enough.
  struct Figure {
    std::string name;
    std::string detail;
    bool passed = false;
  };
  std::vector<Figure> figures;
  std::string remark;
};

// The card with a section for the evaluation at its end, in place of an earlier one. Unchanged when
// there are no figures.
[[nodiscard]] std::string WithEvaluation(absl::string_view card, const CardEvaluation& evaluation);

}  // namespace mellow::adapters

#endif  // MELLOW_COMMON_ADAPTERS_MODEL_CARD_H_
