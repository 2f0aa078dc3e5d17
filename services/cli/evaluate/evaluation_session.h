#ifndef MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_SESSION_H_
#define MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_SESSION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/eval/evaluation.h"
#include "common/nn/load.h"
#include "common/text/tokenizer.h"
#include "mellow/evaluation/v1/evaluation_spec.pb.h"
#include "services/cli/cluster/cluster_calls.h"
#include "services/cli/evaluate/evaluation_plan.h"
#include "services/cli/evaluate/evaluation_run.h"

namespace mellow::cli {

// False: policy and reward model are folders, and everything is computed in this process.
[[nodiscard]] bool NeedsCluster(const evaluation::v1::EvaluationSpec& spec);

// An evaluation that is ready to run.
struct EvaluationSession {
  eval::Evaluation evaluation;  // all but summaries and what follows
  std::vector<EvaluationPrompt> prompts;
  std::unique_ptr<ClusterCalls> calls;  // null: no cluster
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<nn::Seq2SeqModel> model;  // null: every arm is the cluster's
  EvaluationEngines engines;                // last: destroyed first
};

// Reads the data, resolves the arms and loads what runs in this process. `folder`: of the cluster.
// Errors name the field of the evaluation file that they come from.
[[nodiscard]] absl::StatusOr<std::unique_ptr<EvaluationSession>> OpenEvaluation(
    const evaluation::v1::EvaluationSpec& spec, const std::string& folder,
    const nn::LoadOptions& load);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_EVALUATION_SESSION_H_
