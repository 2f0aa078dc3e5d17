#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_PLAN_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_PLAN_H_

// What an evaluation file asks for, checked, and its prompts.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "common/text/tokenizer.h"
#include "mellow/evaluation/v1/evaluation_spec.pb.h"

namespace mellow::cli {

struct EvaluationPrompt {
  eval::PromptRow row;  // without arms
  std::vector<int32_t> source_ids;
  std::string query;          // the decoded prompt, without special tokens
  std::string special_query;  // with them
};

// Config fields that the file decides: all but sha256, data_* , prompts and policy_model.
// InvalidArgument names the field and its value.
[[nodiscard]] absl::StatusOr<eval::EvaluationConfig> ConfigOf(
    const evaluation::v1::EvaluationSpec& spec);

// Reads the rows and fills data_sha256, data_rows, prompts and prompts_sha256 of *config. Prompts
// of more tokens than the file allows, or than `node_tokens` where it says nothing (0: there is no
// such limit), are cut inside the template. InvalidArgument names the field, the file and the line:
// a column that is not there, a row without dialogue or reference, no row left.
[[nodiscard]] absl::StatusOr<std::vector<EvaluationPrompt>> ReadEvaluationPrompts(
    const evaluation::v1::EvaluationSpec& spec, const text::Tokenizer& tokenizer, int node_tokens,
    eval::EvaluationConfig* config);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_PLAN_H_
