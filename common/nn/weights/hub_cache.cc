#include "common/nn/weights/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace mellow::nn {
namespace {

namespace fs = std::filesystem;

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Letters, digits and ._- as names on the Hub have them; neither a hidden file nor a way out of a
// folder.
bool IsName(absl::string_view text) {
  return !text.empty() && absl::ascii_isalnum(text[0]) && !absl::StrContains(text, "..") &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

// "main", "refs/pr/3": names with slashes between.
bool IsRevision(absl::string_view text) {
  const size_t slash = text.find('/');
  return IsName(text.substr(0, slash)) &&
         (slash == text.npos || IsRevision(text.substr(slash + 1)));
}

}  // namespace

std::optional<HubId> ParseHubId(absl::string_view text) {
  HubId id;
  if (const size_t at = text.find('@'); at != text.npos) {
    id.revision = std::string(text.substr(at + 1));
    text = text.substr(0, at);
  }
  const size_t slash = text.find('/');
  if (slash == text.npos || !IsName(text.substr(0, slash)) || !IsName(text.substr(slash + 1)) ||
      !IsRevision(id.revision))
    return std::nullopt;
  id.repository = std::string(text);
  return id;
}

std::string HubCacheFolder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (std::string cache = FromEnvironment(name); !cache.empty()) return cache;
  }
  if (const std::string home = FromEnvironment("HF_HOME"); !home.empty())
    return absl::StrCat(home, "/hub");
  std::string caches = FromEnvironment("XDG_CACHE_HOME");
  if (caches.empty()) caches = absl::StrCat(FromEnvironment("HOME"), "/.cache");
  return absl::StrCat(caches, "/huggingface/hub");
}

absl::StatusOr<std::string> FindSnapshot(const HubId& id, const std::string& cache) {
  const std::string repository =
      absl::StrCat(cache, "/models--", absl::StrReplaceAll(id.repository, {{"/", "--"}}));
  std::string commit = id.revision;
  const absl::StatusOr<std::string> reference =
      ReadFile(absl::StrCat(repository, "/refs/", id.revision));
  if (reference.ok()) {
    commit = std::string(absl::StripAsciiWhitespace(*reference));
    if (!IsName(commit))
      return absl::InvalidArgumentError(
          absl::StrCat(repository, "/refs/", id.revision, ": not a commit"));
  } else if (!absl::IsNotFound(reference.status())) {
    return reference.status();
  }
  std::string snapshot = absl::StrCat(repository, "/snapshots/", commit);
  if (Exists(snapshot)) return snapshot;
  const std::string name = id.revision == HubId{}.revision
                               ? id.repository
                               : absl::StrCat(id.repository, "@", id.revision);
  return absl::NotFoundError(absl::StrCat(
      name, ": no such folder, and not in the Hub's cache ", cache,
      " (HF_HUB_CACHE, HF_HOME); `deploy/tools/fetch_models.sh ", name, "` fetches it"));
}

absl::StatusOr<std::string> FindFolder(const std::string& name, const std::string& cache) {
  if (Exists(name)) return name;
  if (const std::optional<HubId> id = ParseHubId(name)) return FindSnapshot(*id, cache);
  // The oldest repositories ("t5-base") have no organization. Such a name is more often a folder's,
  // so it is the Hub's only where the cache has it.
  if (!IsName(name)) return name;
  absl::StatusOr<std::string> snapshot = FindSnapshot({name}, cache);
  if (absl::IsNotFound(snapshot.status())) return name;
  return snapshot;
}

}  // namespace mellow::nn
