#include "common/nn/weights/model_folder.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/json/fields.h"
#include "common/nn/weights/safetensors.h"
#include "common/nn/weights/torch_zip.h"

namespace mellow::nn {
namespace {

using FileReader = absl::StatusOr<TensorMap> (*)(const std::string& path);

struct Layout {
  const char* file;
  FileReader reader;
  bool index;
};
constexpr Layout kLayouts[] = {
    {"model.safetensors", ReadSafetensors, false},
    {"model.safetensors.index.json", ReadSafetensors, true},
    {"pytorch_model.bin", ReadTorchZip, false},
    {"pytorch_model.bin.index.json", ReadTorchZip, true},
};

// Shards lie beside their index; a name with a folder in it would reach outside.
bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && !absl::StrContains(name, '/') &&
         name.find('\0') == name.npos;
}

// Shard -> names of its tensors.
absl::StatusOr<std::map<std::string, std::vector<std::string>>> ReadIndex(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  MELLOW_ASSIGN_OR_RETURN(const json::Value index, json::ParseObject(text, path));
  const json::Value* weight_map = index.Find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object())
    return absl::InvalidArgumentError(absl::StrCat(path, ": no weight_map"));
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [name, shard] : weight_map->members()) {
    if (!shard.is_string() || !IsPlainFileName(shard.string()))
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": weight_map of ", name, " is not a file name"));
    shards[shard.string()].push_back(name);
  }
  return shards;
}

absl::StatusOr<TensorMap> LoadShards(const std::string& folder, const Layout& layout) {
  const std::string index_path = absl::StrCat(folder, "/", layout.file);
  MELLOW_ASSIGN_OR_RETURN(const auto shards, ReadIndex(index_path));
  TensorMap tensors;
  for (const auto& [shard, names] : shards) {
    MELLOW_ASSIGN_OR_RETURN(TensorMap part, layout.reader(absl::StrCat(folder, "/", shard)));
    for (const std::string& name : names) {
      auto node = part.extract(name);
      if (node.empty())
        return absl::FailedPreconditionError(
            absl::StrCat(index_path, ": ", name, " is not in ", shard));
      tensors.insert(std::move(node));
    }
  }
  return tensors;
}

absl::Status NoWeights(const std::string& folder) {
  return absl::NotFoundError(absl::StrCat(
      folder, ": no such folder, or no weights in it (looked for ",
      absl::StrJoin(kLayouts, ", ",
                    [](std::string* out, const Layout& layout) { out->append(layout.file); }),
      ")"));
}

}  // namespace

absl::StatusOr<TensorMap> LoadModelTensors(const std::string& folder) {
  for (const Layout& layout : kLayouts) {
    absl::StatusOr<TensorMap> tensors = layout.index
                                            ? LoadShards(folder, layout)
                                            : layout.reader(absl::StrCat(folder, "/", layout.file));
    if (tensors.ok() || !absl::IsNotFound(tensors.status())) return tensors;
    // Not found may also be a shard that is missing, which is no reason to look for another layout.
    if (layout.index && MappedFile::Open(absl::StrCat(folder, "/", layout.file)).ok())
      return tensors;
  }
  return NoWeights(folder);
}

absl::StatusOr<std::vector<std::string>> WeightFiles(const std::string& folder) {
  for (const Layout& layout : kLayouts) {
    const std::string path = absl::StrCat(folder, "/", layout.file);
    const absl::Status opened = MappedFile::Open(path).status();
    if (absl::IsNotFound(opened)) continue;
    MELLOW_RETURN_IF_ERROR(opened);
    if (!layout.index) return std::vector<std::string>{layout.file};
    std::vector<std::string> names;
    MELLOW_ASSIGN_OR_RETURN(const auto shards, ReadIndex(path));
    for (const auto& [shard, tensors] : shards) names.push_back(shard);
    return names;
  }
  return NoWeights(folder);
}

absl::StatusOr<std::string> ModelType(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/config.json");
  MELLOW_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  MELLOW_ASSIGN_OR_RETURN(const json::Value config, json::ParseObject(text, path));
  json::FieldReader fields(config, path);
  std::string type;
  fields.String("model_type", &type);
  if (type.empty()) fields.Reject("model_type", "the name of an architecture");
  MELLOW_RETURN_IF_ERROR(fields.Finish());
  return type;
}

}  // namespace mellow::nn
