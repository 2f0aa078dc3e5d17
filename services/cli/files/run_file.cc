#include "services/cli/files/run_file.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/value.h"

namespace mellow::cli {
namespace {

using learner::v1::SftSpec;
using orchestrator::v1::RunSpec;

// The fields that hold paths.
std::vector<SpecPath> PathsOf(RunSpec* spec) {
  std::vector<SpecPath> paths;
  const auto add = [&paths](std::string* path, bool on_hub = false) {
    if (!path->empty()) paths.push_back({path, on_hub});
  };
  if (spec->has_data()) add(spec->mutable_data()->mutable_path());
  if (spec->has_start_adapter()) add(spec->mutable_start_adapter(), /*on_hub=*/true);
  if (spec->ppo().has_value_head_file()) add(spec->mutable_ppo()->mutable_value_head_file());
  if (spec->sft().has_data()) add(spec->mutable_sft()->mutable_data()->mutable_path());
  if (spec->sft().data().has_dev_path())
    add(spec->mutable_sft()->mutable_data()->mutable_dev_path());
  if (spec->sft().has_start_adapter())
    add(spec->mutable_sft()->mutable_start_adapter(), /*on_hub=*/true);
  return paths;
}

// Reads a file that is a whole spec, or its part `sft`.
absl::StatusOr<RunSpec> Load(const std::string& path, const std::vector<std::string>& overrides,
                             bool whole) {
  RunSpec spec;
  google::protobuf::Message* root = &spec;
  if (!whole) root = spec.mutable_sft();
  MELLOW_RETURN_IF_ERROR(LoadSpec(
      path, overrides, [&spec] { return PathsOf(&spec); }, root));
  if (spec.name().empty()) {
    spec.set_name(spec.sft().name().empty() ? std::filesystem::path(path).stem().string()
                                            : spec.sft().name());
  }
  if (spec.has_sft() && spec.sft().name().empty()) spec.mutable_sft()->set_name(spec.name());
  return spec;
}

}  // namespace

absl::StatusOr<RunSpec> RunSpecFromJson(const std::string& json) {
  RunSpec spec;
  MELLOW_RETURN_IF_ERROR(SpecFromJson(json, &spec));
  return spec;
}

absl::StatusOr<RunSpec> LoadRunFile(const std::string& path,
                                    const std::vector<std::string>& overrides) {
  absl::StatusOr<RunSpec> spec = Load(path, overrides, /*whole=*/true);
  if (spec.ok()) return spec;
  const std::string text = ReadFile(path).value_or("");
  SftSpec sft;
  if (!RunSpecFromJson(text).ok() && SpecFromJson(text, &sft).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the settings of supervised fine-tuning alone: train them with mellow sft ", path,
        ", or make them a run file: {\"sft\": { ... }}"));
  }
  return spec;
}

absl::StatusOr<RunSpec> LoadSftRunFile(const std::string& path,
                                       const std::vector<std::string>& overrides) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const absl::StatusOr<json::Value> file = json::ParseObject(text, path);
  return Load(path, overrides, /*whole=*/file.ok() && file->Has("sft"));
}

}  // namespace mellow::cli
