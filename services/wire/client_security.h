#ifndef MELLOW_SERVICES_WIRE_CLIENT_SECURITY_H_
#define MELLOW_SERVICES_WIRE_CLIENT_SECURITY_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/tls/certificates.h"

namespace CLI {
class App;
}

namespace mellow::wire {

// How a process reaches servers.
struct ClientFlags {
  tls::Files files;
  std::string token_file;

  // Whether to talk TLS; else plaintext.
  [[nodiscard]] bool on() const { return !files.ca.empty(); }
  // InvalidArgument naming the flags.
  [[nodiscard]] absl::Status Validate() const;
};

// --token-file (MELLOW_TOKEN_FILE).
void AddTokenFileFlag(CLI::App* app, std::string* token_file);

// Makes every channel of this process from now on use the files and the token. Once, before the
// first channel. Does nothing when they are off. Errors: those of the files.
[[nodiscard]] absl::Status UseClientSecurity(const ClientFlags& flags);
// The same with files that are watched already.
[[nodiscard]] absl::Status UseClientSecurity(
    std::shared_ptr<tls::FollowedCertificates> certificates, const std::string& token_file);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_CLIENT_SECURITY_H_
