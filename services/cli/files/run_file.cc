#include "services/cli/files/run_file.h"

#include <filesystem>

#include "common/base/status.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::RunSpec;

// The fields that hold paths.
std::vector<SpecPath> PathsOf(RunSpec* spec) {
  std::vector<SpecPath> paths;
  if (spec->has_data() && !spec->data().path().empty())
    paths.push_back({spec->mutable_data()->mutable_path()});
  if (spec->has_start_adapter() && !spec->start_adapter().empty())
    paths.push_back({spec->mutable_start_adapter(), /*on_hub=*/true});
  if (spec->ppo().has_value_head_file() && !spec->ppo().value_head_file().empty())
    paths.push_back({spec->mutable_ppo()->mutable_value_head_file()});
  return paths;
}

}  // namespace

absl::StatusOr<RunSpec> RunSpecFromJson(const std::string& json) {
  RunSpec spec;
  MELLOW_RETURN_IF_ERROR(SpecFromJson(json, &spec));
  return spec;
}

absl::StatusOr<RunSpec> LoadRunFile(const std::string& path,
                                    const std::vector<std::string>& overrides) {
  RunSpec spec;
  MELLOW_RETURN_IF_ERROR(LoadSpec(
      path, overrides, [&spec] { return PathsOf(&spec); }, &spec));
  if (spec.name().empty()) spec.set_name(std::filesystem::path(path).stem().string());
  return spec;
}

}  // namespace mellow::cli
