#ifndef MELLOW_SERVICES_CLI_TRAIN_NEXT_STEPS_H_
#define MELLOW_SERVICES_CLI_TRAIN_NEXT_STEPS_H_

#include <string>

#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::cli {

// What a person may do with a run that is done, as commands that work as they stand: lines with
// their ends. `run_file`: that it was started with; the evaluation file beside it (NAME-eval.json
// of NAME.json and of NAME-sft.json) stands in the commands, without one EVAL.json, which the user
// has to write. `dir`: the cluster's folder, both as the user wrote them.
[[nodiscard]] std::string NextSteps(const orchestrator::v1::Run& run, const std::string& run_file,
                                    const std::string& dir);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_NEXT_STEPS_H_
