#include "services/wire/client_security.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/tls_credentials.h"
#include "services/wire/methods.h"
#include "services/wire/tls_flags.h"

namespace mellow::wire {

absl::Status ClientFlags::Validate() const {
  MELLOW_RETURN_IF_ERROR(CheckClientFiles(files));
  if (!token_file.empty() && !on()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--token-file ", token_file, ": a token travels over TLS only, which needs --tls-ca"));
  }
  return absl::OkStatus();
}

void AddTokenFileFlag(CLI::App* app, std::string* token_file) {
  app->add_option("--token-file", *token_file,
                  "File with the bearer token to send with every call (over TLS only)")
      ->envname("MELLOW_TOKEN_FILE");
}

absl::Status UseClientSecurity(const ClientFlags& flags) {
  MELLOW_RETURN_IF_ERROR(flags.Validate());
  if (!flags.on()) return absl::OkStatus();
  MELLOW_ASSIGN_OR_RETURN(auto certificates, tls::FollowCertificates(flags.files));
  return UseClientSecurity(std::move(certificates), flags.token_file);
}

absl::Status UseClientSecurity(std::shared_ptr<tls::FollowedCertificates> certificates,
                               const std::string& token_file) {
  std::shared_ptr<rpc::TokenFile> token;
  if (!token_file.empty()) {
    MELLOW_ASSIGN_OR_RETURN(token, rpc::TokenFile::Open(token_file));
  }
  rpc::UseChannelCredentials(
      rpc::MakeChannelCredentials(std::move(certificates), std::move(token), ServerRoles()));
  return absl::OkStatus();
}

}  // namespace mellow::wire
