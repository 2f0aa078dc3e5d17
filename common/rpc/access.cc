#include "common/rpc/access.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace mellow::rpc {
namespace {

constexpr absl::string_view kSpiffe = "spiffe://";
constexpr absl::string_view kTrustDomain = "spiffe://mellow/";
constexpr absl::string_view kOwnPackages = "/mellow.";

}  // namespace

std::string Caller::Key() const { return absl::StrCat(role, "/", name); }

std::optional<Caller> CallerFromUris(const std::vector<std::string>& uris) {
  std::optional<Caller> caller;
  for (const std::string& uri : uris) {
    if (!absl::StartsWithIgnoreCase(uri, kSpiffe)) continue;
    absl::string_view rest = uri;
    if (caller.has_value() || !absl::ConsumePrefix(&rest, kTrustDomain)) return std::nullopt;
    const std::vector<absl::string_view> parts = absl::StrSplit(rest, '/');
    if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) return std::nullopt;
    caller = {std::string(parts[0]), std::string(parts[1])};
  }
  return caller;
}

absl::StatusOr<Caller> IdentifyCaller(const std::vector<std::string>& uris,
                                      absl::string_view authorization, const TokenTable* tokens) {
  if (!authorization.empty() && tokens != nullptr) {
    if (authorization.size() < 7 || !absl::EqualsIgnoreCase(authorization.substr(0, 7), "Bearer "))
      return absl::UnauthenticatedError("authorization: expected 'Bearer TOKEN'");
    const std::optional<TokenOwner> owner = tokens->Find(authorization.substr(7));
    if (!owner.has_value())
      return absl::UnauthenticatedError("authorization: this token is not known here");
    return Caller{owner->role, owner->name};
  }
  if (std::optional<Caller> caller = CallerFromUris(uris); caller.has_value()) return *caller;
  return absl::UnauthenticatedError(
      absl::StrCat("who calls? A certificate with the URI spiffe://mellow/ROLE/NAME",
                   tokens != nullptr ? " or a token of this server" : "", " is needed"));
}

bool IsOpenMethod(absl::string_view method) {
  return absl::StartsWith(method, "/grpc.health.v1.Health/");
}

absl::Status CheckAccess(const AccessTable& table, const Caller& caller, absl::string_view method) {
  if (!absl::StartsWith(method, kOwnPackages)) return absl::OkStatus();
  const auto roles = table.find(method);
  if (roles != table.end() && roles->second.count(caller.role) != 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("role ", caller.role, " (", caller.name, ") may not call ", method));
}

}  // namespace mellow::rpc
