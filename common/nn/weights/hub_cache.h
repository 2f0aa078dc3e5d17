#ifndef MELLOW_COMMON_NN_WEIGHTS_HUB_CACHE_H_
#define MELLOW_COMMON_NN_WEIGHTS_HUB_CACHE_H_

// Models and adapters by their names on the Hugging Face Hub, where the Hub's own client has put
// them. Nothing here reaches the network.

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mellow::nn {

struct HubId {
  std::string repository;         // "google/flan-t5-base"
  std::string revision = "main";  // a branch, a tag or a commit
};

// "ORG/NAME" or "ORG/NAME@REVISION"; nullopt: something else, a path for instance.
[[nodiscard]] std::optional<HubId> ParseHubId(absl::string_view text);

// The folder of the client's cache: HF_HUB_CACHE or its old name HUGGINGFACE_HUB_CACHE, else
// HF_HOME/hub, else huggingface/hub in XDG_CACHE_HOME, else in ~/.cache.
[[nodiscard]] std::string HubCacheFolder();

// The folder of a snapshot in `cache`. NotFound: it is not there; the message has the command that
// fetches it. InvalidArgument: the cache's reference is not a commit.
[[nodiscard]] absl::StatusOr<std::string> FindSnapshot(const HubId& id,
                                                       const std::string& cache = HubCacheFolder());

// The folder that `name` means: a path that exists is meant itself, else a name of the Hub means
// its snapshot, one without an organization ("t5-base") only where the cache has it. Anything else
// is returned as it is, for the reader of the folder to complain of. Errors as FindSnapshot.
[[nodiscard]] absl::StatusOr<std::string> FindFolder(const std::string& name,
                                                     const std::string& cache = HubCacheFolder());

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_WEIGHTS_HUB_CACHE_H_
