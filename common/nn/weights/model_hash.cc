#include "common/nn/weights/model_hash.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/nn/weights/model_folder.h"

namespace mellow::nn {
namespace {

// All from which text::LoadTokenizer may take an id, and the defaults of generation. The first
// three came first, and keep their places.
constexpr const char* kOptionalFiles[] = {"spiece.model",
                                          "vocab.json",
                                          "merges.txt",
                                          "tokenizer.json",
                                          "added_tokens.json",
                                          "special_tokens_map.json",
                                          "tokenizer_config.json",
                                          "generation_config.json"};

absl::Status Add(const std::string& folder, const std::string& name, Sha256* hash) {
  MELLOW_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(absl::StrCat(folder, "/", name)));
  hash->Update(absl::StrCat(name, "\n", file->bytes().size(), "\n"));
  hash->Update(file->bytes().data(), file->bytes().size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> HashModelFolder(const std::string& folder) {
  MELLOW_ASSIGN_OR_RETURN(std::vector<std::string> names, WeightFiles(folder));
  names.insert(names.begin(), "config.json");
  Sha256 hash;
  for (const std::string& name : names) MELLOW_RETURN_IF_ERROR(Add(folder, name, &hash));
  for (const char* name : kOptionalFiles) {
    const absl::Status added = Add(folder, name, &hash);
    if (!added.ok() && !absl::IsNotFound(added)) return added;
  }
  return hash.HexDigest();
}

ModelHash::ModelHash(const std::string& folder)
    : result_(std::async(std::launch::async, [folder] { return HashModelFolder(folder); })) {}

}  // namespace mellow::nn
