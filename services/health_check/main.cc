// mellow_health_check: exit code 0 when a server says that it serves. For the health checks of
// containers, whose images have no other client.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "services/health_check/health_check.h"
#include "services/wire/client_security.h"
#include "services/wire/tls_flags.h"

int main(int argc, char** argv) {
  CLI::App app("Asks a server of Mellow whether it serves; exit code 0: yes, 1: no.",
               "mellow_health_check");
  std::string target;
  double seconds = 3;
  app.add_option("TARGET", target, "HOST:PORT of a gRPC server, or http[s]://HOST:PORT/PATH")
      ->required();
  app.add_option("--timeout", seconds, "Seconds to wait for the answer")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 3600.0));
  mellow::wire::ClientFlags security;
  mellow::wire::AddTlsFlags(&app, &security.files);
  mellow::wire::AddTokenFileFlag(&app, &security.token_file);
  CLI11_PARSE(app, argc, argv);
  absl::Status status = mellow::wire::UseClientSecurity(security);
  if (status.ok())
    status = mellow::health_check::Check(target, absl::Seconds(seconds), security.files.ca);
  if (status.ok()) return 0;
  std::fprintf(stderr, "mellow_health_check: %s\n", std::string(status.message()).c_str());
  return 1;
}
