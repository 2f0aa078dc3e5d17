#ifndef MELLOW_SERVICES_WIRE_PROCESS_FLAGS_H_
#define MELLOW_SERVICES_WIRE_PROCESS_FLAGS_H_

// What the main() of every service does in the same way, whatever protocol it speaks.

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "common/tls/certificates.h"

namespace CLI {
class App;
}

namespace mellow::wire {

struct ProcessFlags {
  std::string address = "127.0.0.1:0";
  std::string metrics_address = "127.0.0.1:0";
  std::string node_id;
  std::string log_level = "info";
  double drain_seconds = 10;
  tls::Files tls;  // none: plaintext
  std::string tls_client_auth = "require";
  bool insecure_listen = false;

  [[nodiscard]] bool tls_on() const { return !tls.cert.empty(); }
  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

// Replaces "{host}" by this host's name: several containers of one service have one command line.
[[nodiscard]] std::string WithHostName(const std::string& text);

// --address, --metrics-address, --node-id, --log-level, --drain-seconds, those of AddTlsFlags,
// --tls-client-auth, --insecure-listen. `node_id` is the default name, `protocol` what --address is
// for.
void AddProcessFlags(CLI::App* app, ProcessFlags* flags, const std::string& node_id,
                     const std::string& protocol);

// app->parse(), whose exceptions it lets through, but for one thing: `--flag=` gives the flag the
// empty text. CLI11 takes the next argument for its value.
void ParseArguments(CLI::App* app, int argc, const char* const* argv);

// Parses; on --help, --version or an error prints and returns the exit code to end with, else
// nothing.
[[nodiscard]] std::optional<int> ParseFlags(CLI::App* app, int argc, char** argv);

// Logs "serving" with both addresses, waits for SIGTERM or SIGINT (blocked by
// rpc::BlockShutdownSignals) and logs "draining".
void WaitToDrain(const ProcessFlags& flags, const std::string& bound_address,
                 const std::string& metrics_address);

// All of a server's main(), whose exit code it returns: blocks the signals of WaitToDrain before
// the first thread, parses what `add_flags` adds (`flags` among them), opens the log, and serves.
// An error of `serve` is logged.
[[nodiscard]] int RunServer(int argc, char** argv, const std::string& description,
                            const std::string& program,
                            const std::function<void(CLI::App*)>& add_flags,
                            const ProcessFlags& flags, const std::function<absl::Status()>& serve);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_PROCESS_FLAGS_H_
