#ifndef MELLOW_SERVICES_CLI_TRAIN_NEXT_STEPS_H_
#define MELLOW_SERVICES_CLI_TRAIN_NEXT_STEPS_H_

#include <string>

#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::cli {

// The evaluation file beside a run file: NAME-eval.json of NAME.json and of NAME-sft.json; without
// one EVAL.json, which the user has to write.
[[nodiscard]] std::string EvaluationFileOf(const std::string& run_file);

// What a person may do with a run that is done, as commands that work as they stand: lines with
// their ends. `run_file`: that it was started with, whose EvaluationFileOf they have. `dir`: the
// cluster's folder, both as the user wrote them.
[[nodiscard]] std::string NextSteps(const orchestrator::v1::Run& run, const std::string& run_file,
                                    const std::string& dir);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_NEXT_STEPS_H_
