#ifndef MELLOW_SERVICES_CLI_FILES_EVALUATION_FILE_H_
#define MELLOW_SERVICES_CLI_FILES_EVALUATION_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "mellow/evaluation/v1/evaluation_spec.pb.h"

namespace mellow::cli {

// Evaluation files: EvaluationSpec messages in proto JSON. As LoadRunFile.
[[nodiscard]] absl::StatusOr<evaluation::v1::EvaluationSpec> LoadEvaluationFile(
    const std::string& path, const std::vector<std::string>& overrides);

// False: "base", "start", "newest", "champion", the number of a version, or RUN@STEP.
[[nodiscard]] bool IsFolderArm(absl::string_view arm);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_EVALUATION_FILE_H_
