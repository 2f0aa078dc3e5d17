#ifndef MELLOW_COMMON_RPC_TOKEN_TABLE_H_
#define MELLOW_COMMON_RPC_TOKEN_TABLE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/sync/followed_files.h"

namespace mellow::rpc {

// Who a bearer token stands for.
struct TokenOwner {
  std::string role;
  std::string name;
};

// The tokens that a server takes, from a file that may change while it runs: "TOKEN ROLE NAME" a
// line, a word that begins with '#' begins a comment; instead of the token its sha256 as
// "sha256:HEX". A changed file that cannot be used is logged and the old tokens stay. Thread-safe.
class TokenTable {
 public:
  // InvalidArgument names file and line (never a token); PermissionDenied: others can read the
  // file.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<TokenTable>> Open(
      const std::string& path, absl::Duration period = absl::Seconds(1));

  [[nodiscard]] std::optional<TokenOwner> Find(absl::string_view token) const;

 private:
  using Owners = std::map<std::string, TokenOwner>;  // by sha256: looking up tells no timing

  TokenTable() = default;
  static absl::StatusOr<Owners> Read(const std::string& path);

  std::unique_ptr<FollowedFiles<Owners>> owners_;
};

// The token that a client sends, from a file with nothing else in it; read again when it changes.
// Thread-safe.
class TokenFile {
 public:
  // InvalidArgument: empty, or more than one word.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<TokenFile>> Open(
      const std::string& path, absl::Duration period = absl::Seconds(1));

  [[nodiscard]] std::string Token() const;

 private:
  TokenFile() = default;

  std::unique_ptr<FollowedFiles<std::string>> token_;
};

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_TOKEN_TABLE_H_
