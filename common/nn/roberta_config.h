#ifndef MELLOW_COMMON_NN_ROBERTA_CONFIG_H_
#define MELLOW_COMMON_NN_ROBERTA_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/nn/activation.h"
#include "common/nn/labels.h"

namespace mellow::nn {

// What config.json of a RobertaForSequenceClassification folder says; defaults are those of
// transformers' RobertaConfig.
struct RobertaConfig {
  int vocab_size = 50265;
  int hidden_size = 768;
  int num_hidden_layers = 12;
  int num_attention_heads = 12;
  int intermediate_size = 3072;
  int max_position_embeddings = 512;
  int type_vocab_size = 2;
  double layer_norm_eps = 1e-12;
  int32_t pad_token_id = 1;
  Activation hidden_act = Activation::kGelu;
  std::vector<std::string> labels;    // id2label in id order
  std::vector<std::string> warnings;  // what the file says and nobody here knows; one line each
  std::vector<bool> numeric_labels;   // beside them: the name was a number, not text
  ProblemType problem_type = ProblemType::kSingleLabel;

  // Positions start at pad_token_id + 1, so two of the table's rows are never used.
  int max_tokens() const { return max_position_embeddings - pad_token_id - 1; }
};

// As ReadT5Config. InvalidArgument also when id2label does not name 0..n-1, or hidden_act is not
// known.
[[nodiscard]] absl::StatusOr<RobertaConfig> ReadRobertaConfig(const std::string& folder);
// The same from the file's text; `name` stands for the file in errors.
[[nodiscard]] absl::StatusOr<RobertaConfig> ParseRobertaConfig(absl::string_view text,
                                                               absl::string_view name);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_ROBERTA_CONFIG_H_
