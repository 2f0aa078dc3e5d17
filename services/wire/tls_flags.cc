#include "services/wire/tls_flags.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"

namespace mellow::wire {
namespace {

std::string Given(const std::string& flag, const std::string& path) {
  return path.empty() ? "" : absl::StrCat(" ", flag, " ", path);
}

std::string Given(const tls::Files& files) {
  return absl::StrCat("given:", Given("--tls-cert", files.cert), Given("--tls-key", files.key),
                      Given("--tls-ca", files.ca));
}

}  // namespace

void AddTlsFlags(CLI::App* app, tls::Files* files) {
  app->add_option("--tls-cert", files->cert,
                  "PEM certificate chain of this process; with --tls-key and --tls-ca: TLS. All "
                  "three are read again when they change")
      ->envname("MELLOW_TLS_CERT");
  app->add_option("--tls-key", files->key, "PEM private key of --tls-cert")
      ->envname("MELLOW_TLS_KEY");
  app->add_option("--tls-ca", files->ca, "PEM certificates of the authorities to trust")
      ->envname("MELLOW_TLS_CA");
}

absl::Status CheckServerFiles(const tls::Files& files) {
  const int given = !files.cert.empty() + !files.key.empty() + !files.ca.empty();
  if (given == 0 || given == 3) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--tls-cert, --tls-key and --tls-ca go together; ", Given(files)));
}

absl::Status CheckClientFiles(const tls::Files& files) {
  if (files.cert.empty() != files.key.empty())
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-cert and --tls-key go together; ", Given(files)));
  if (!files.cert.empty() && files.ca.empty())
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-ca: needed with --tls-cert, to know the servers; ", Given(files)));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<tls::FollowedCertificates>> StartCertificates(
    const tls::Files& files) {
  if (files.cert.empty()) return nullptr;
  return tls::FollowCertificates(files);
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "::1" || host == "[::1]") return true;
  in_addr address = {};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace mellow::wire
