#ifndef MELLOW_COMMON_RPC_ACCESS_H_
#define MELLOW_COMMON_RPC_ACCESS_H_

// Who calls, and what they may. No gRPC types: what a connection and a call carry comes in as text.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/rpc/token_table.h"

namespace mellow::rpc {

// The roles that may call a method, by "/package.Service/Method".
using AccessTable = std::map<std::string, std::set<std::string>, std::less<>>;

// A caller that proved who it is.
struct Caller {
  std::string role;
  std::string name;

  // "ROLE/NAME": a key for limits and logs.
  [[nodiscard]] std::string Key() const;
};

// A certificate's role and name: exactly one URI of `uris` is spiffe://mellow/ROLE/NAME, and there
// is no other spiffe URI (as the SPIFFE standard wants it). Empty: it has none.
[[nodiscard]] std::optional<Caller> CallerFromUris(const std::vector<std::string>& uris);

// Who calls: the owner of the token in `authorization` ("Bearer TOKEN"; empty: none was sent), else
// of the certificate. Unauthenticated: neither, or a token that `tokens` (null: none are taken)
// does not have; a wrong token is refused although the certificate would do.
[[nodiscard]] absl::StatusOr<Caller> IdentifyCaller(const std::vector<std::string>& uris,
                                                    absl::string_view authorization,
                                                    const TokenTable* tokens);

// grpc.health.v1, which everybody may ask.
[[nodiscard]] bool IsOpenMethod(absl::string_view method);

// OK, or PermissionDenied naming role and method. Methods outside our own packages (reflection, and
// what no server has) are for every caller with an identity; a method of ours that the table does
// not list is for nobody.
[[nodiscard]] absl::Status CheckAccess(const AccessTable& table, const Caller& caller,
                                       absl::string_view method);

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_ACCESS_H_
