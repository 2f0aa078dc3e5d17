#include "services/cli/files/evaluation_file.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "common/base/status.h"
#include "services/cli/files/spec_message.h"
#include "services/cli/files/step_name.h"

namespace mellow::cli {
namespace {

using evaluation::v1::EvaluationSpec;

std::vector<SpecPath> PathsOf(EvaluationSpec* spec) {
  std::vector<SpecPath> paths;
  const auto add = [&paths](bool there, std::string* path, bool on_hub = true) {
    if (there && !path->empty()) paths.push_back({path, on_hub});
  };
  if (spec->has_data()) add(true, spec->mutable_data()->mutable_path(), /*on_hub=*/false);
  if (spec->has_policy_model()) add(true, spec->mutable_policy_model());
  if (spec->reward().has_model()) add(true, spec->mutable_reward()->mutable_model());
  for (evaluation::v1::Judge& judge : *spec->mutable_judges()) add(true, judge.mutable_model());
  for (std::string& arm : *spec->mutable_arms()) add(IsFolderArm(arm), &arm);
  return paths;
}

}  // namespace

bool IsFolderArm(absl::string_view arm) {
  if (arm == "base" || arm == "start" || arm == "newest" || arm == "champion") return false;
  if (ParseStepName(arm)) return false;
  return arm.empty() || !std::all_of(arm.begin(), arm.end(), absl::ascii_isdigit);
}

absl::StatusOr<EvaluationSpec> LoadEvaluationFile(const std::string& path,
                                                  const std::vector<std::string>& overrides) {
  EvaluationSpec spec;
  MELLOW_RETURN_IF_ERROR(LoadSpec(
      path, overrides, [&spec] { return PathsOf(&spec); }, &spec));
  if (spec.name().empty()) spec.set_name(std::filesystem::path(path).stem().string());
  return spec;
}

}  // namespace mellow::cli
