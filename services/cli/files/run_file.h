#ifndef MELLOW_SERVICES_CLI_FILES_RUN_FILE_H_
#define MELLOW_SERVICES_CLI_FILES_RUN_FILE_H_

// Run files: RunSpec messages in proto JSON.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"
#include "services/cli/files/spec_message.h"

namespace mellow::cli {

// Reads a run file, applies `overrides` ("field=value", see spec_message.h), makes its paths
// absolute (those of the file are relative to the file, those of overrides to the current folder)
// and names the run after the file when it has no name. Errors name the file and the field; an
// unknown field is InvalidArgument, and so is a file that LoadSftRunFile alone reads.
[[nodiscard]] absl::StatusOr<orchestrator::v1::RunSpec> LoadRunFile(
    const std::string& path, const std::vector<std::string>& overrides);

// As LoadRunFile, of a run whose method is `sft`; reads a file that is an SftSpec alone, too, whose
// overrides are fields of SftSpec.
[[nodiscard]] absl::StatusOr<orchestrator::v1::RunSpec> LoadSftRunFile(
    const std::string& path, const std::vector<std::string>& overrides);

[[nodiscard]] absl::StatusOr<orchestrator::v1::RunSpec> RunSpecFromJson(const std::string& json);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_FILES_RUN_FILE_H_
