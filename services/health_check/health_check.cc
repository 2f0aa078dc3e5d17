#include "services/health_check/health_check.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"
#include "common/http/http.h"
#include "common/rpc/client.h"

namespace mellow::health_check {
namespace {

absl::Status CheckHttp(const std::string& target, absl::string_view rest, absl::Duration timeout,
                       const std::string& ca_file) {
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string address(rest.substr(0, slash));
  const std::string path(rest.substr(slash));
  MELLOW_ASSIGN_OR_RETURN(
      const http::Response response,
      http::Call(address, {.method = "GET", .path = path.empty() ? "/" : path}, timeout, ca_file));
  if (response.status != 200)
    return absl::UnavailableError(absl::StrCat(target, ": answers ", response.status));
  return absl::OkStatus();
}

}  // namespace

absl::Status Check(const std::string& target, absl::Duration timeout, const std::string& ca_file) {
  absl::string_view rest = target;
  if (absl::ConsumePrefix(&rest, "http://")) return CheckHttp(target, rest, timeout, "");
  if (absl::ConsumePrefix(&rest, "https://")) {
    if (ca_file.empty())
      return absl::InvalidArgumentError(absl::StrCat(target, ": https needs --tls-ca"));
    return CheckHttp(target, rest, timeout, ca_file);
  }
  if (absl::StrContains(target, "/") || !absl::StrContains(target, ":")) {
    return absl::InvalidArgumentError(
        absl::StrCat(target, ": expected HOST:PORT or http[s]://HOST:PORT/PATH"));
  }
  return rpc::CheckHealth(rpc::MakeChannel(target), target, timeout);
}

}  // namespace mellow::health_check
