#ifndef MELLOW_SERVICES_CLI_RUN_FILE_H_
#define MELLOW_SERVICES_CLI_RUN_FILE_H_

// Run files: RunSpec messages in proto JSON.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "mellow/orchestrator/v1/run_spec.pb.h"

namespace mellow::cli {

// Reads a run file, applies `overrides` ("field=value", see SetField), makes its paths absolute
// (those of the file are relative to the file, those of overrides to the current folder) and names
// the run after the file when it has no name. Errors name the file and the field; an unknown field
// is InvalidArgument.
[[nodiscard]] absl::StatusOr<orchestrator::v1::RunSpec> LoadRunFile(
    const std::string& path, const std::vector<std::string>& overrides);

// "ppo.learning_rate=1e-3": any field by its path, value checked against the field's type. A
// repeated field takes its values with commas between them. InvalidArgument: no such field, a value
// of another type, or a field that has fields itself (all named).
[[nodiscard]] absl::Status SetField(absl::string_view assignment, orchestrator::v1::RunSpec* spec);

// Proto JSON with the field names of the .proto file.
[[nodiscard]] std::string RunSpecToJson(const orchestrator::v1::RunSpec& spec);
[[nodiscard]] absl::StatusOr<orchestrator::v1::RunSpec> RunSpecFromJson(const std::string& json);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_RUN_FILE_H_
