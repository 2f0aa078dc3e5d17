#include "services/cli/files/sft_file.h"

#include <filesystem>
#include <random>

#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "services/cli/files/spec_message.h"

namespace mellow::cli {
namespace {

using learner::v1::SftSpec;

std::vector<SpecPath> PathsOf(SftSpec* spec) {
  std::vector<SpecPath> paths;
  if (!spec->data().path().empty()) paths.push_back({spec->mutable_data()->mutable_path()});
  if (!spec->data().dev_path().empty()) paths.push_back({spec->mutable_data()->mutable_dev_path()});
  if (!spec->start_adapter().empty())
    paths.push_back({spec->mutable_start_adapter(), /*on_hub=*/true});
  return paths;
}

}  // namespace

absl::StatusOr<SftSpec> LoadSftFile(const std::string& path,
                                    const std::vector<std::string>& overrides) {
  SftSpec spec;
  MELLOW_RETURN_IF_ERROR(LoadSpec(
      path, overrides, [&spec] { return PathsOf(&spec); }, &spec));
  if (spec.name().empty()) spec.set_name(std::filesystem::path(path).stem().string());
  return spec;
}

std::string NewSftRunId(const SftSpec& spec) {
  std::random_device device;
  return absl::StrFormat("%s-%08x", FolderName(spec.name()), device());
}

}  // namespace mellow::cli
