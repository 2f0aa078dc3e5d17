#include "services/wire/process_flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <climits>
#include <cstdio>
#include <deque>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/shutdown_signals.h"
#include "services/wire/help_text.h"
#include "services/wire/parse_error.h"
#include "services/wire/tls_flags.h"

namespace mellow::wire {
namespace {

absl::Status CheckListen(const char* flag, const std::string& address) {
  if (IsLoopback(address.substr(0, address.rfind(':')))) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flag, " ", address,
      ": others can reach it and nothing would be encrypted; give --tls-cert, --tls-key and "
      "--tls-ca, or say --insecure-listen"));
}

}  // namespace

std::string WithHostName(const std::string& text) {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, HOST_NAME_MAX) != 0) return text;
  return absl::StrReplaceAll(text, {{"{host}", name}});
}

absl::Status ProcessFlags::Validate() const {
  if (!(drain_seconds >= 0 && drain_seconds <= 3600))
    return absl::InvalidArgumentError(
        absl::StrCat("--drain-seconds ", drain_seconds, ": between 0 and 3600"));
  if (node_id.empty()) return absl::InvalidArgumentError("--node-id: must not be empty");
  MELLOW_RETURN_IF_ERROR(CheckServerFiles(tls));
  MELLOW_RETURN_IF_ERROR(
      Annotate(tls::ParseClientAuth(tls_client_auth).status(), "--tls-client-auth"));
  if (tls_on() || insecure_listen) return absl::OkStatus();
  MELLOW_RETURN_IF_ERROR(CheckListen("--address", address));
  return CheckListen("--metrics-address", metrics_address);
}

void AddProcessFlags(CLI::App* app, ProcessFlags* flags, const std::string& node_id,
                     const std::string& protocol) {
  flags->node_id = node_id;
  app->option_defaults()->always_capture_default();
  app->add_option(
      "--address", flags->address,
      absl::StrCat("Where to listen for ", protocol, ", HOST:PORT; port 0 picks a free one"));
  app->add_option("--metrics-address", flags->metrics_address, "Where to serve GET /metrics");
  app->add_option("--node-id", flags->node_id,
                  "Name of this node, the same after a restart; {host} is the host's name")
      ->transform(WithHostName);
  app->add_option("--log-level", flags->log_level, "debug, info, warning or error");
  app->add_option("--drain-seconds", flags->drain_seconds,
                  "After SIGTERM, calls in progress get that long");
  AddTlsFlags(app, &flags->tls);
  app->add_option("--tls-client-auth", flags->tls_client_auth,
                  "Whether clients must show a certificate: require, optional or none")
      ->envname("MELLOW_TLS_CLIENT_AUTH");
  app->add_flag("--insecure-listen", flags->insecure_listen,
                "Without TLS, let others than this machine reach the ports: whoever listens on the "
                "way reads everything, and whoever gets there may do everything")
      ->envname("MELLOW_INSECURE_LISTEN");
}

void ParseArguments(CLI::App* app, int argc, const char* const* argv) {
  std::vector<const char*> arguments(argv, argv + std::min(argc, 1));
  std::deque<std::string> names;  // what `arguments` points into
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    options = options && argument != "--";
    if (!options || !absl::StartsWith(argument, "--") ||
        argument.find('=') + 1 != argument.size()) {
      arguments.push_back(argv[i]);
      continue;
    }
    arguments.push_back(names.emplace_back(argument.substr(0, argument.size() - 1)).c_str());
    arguments.push_back("");
  }
  app->parse(static_cast<int>(arguments.size()), arguments.data());
}

std::optional<int> ParseFlags(CLI::App* app, int argc, char** argv) {
  app->set_version_flag("--version", MELLOW_VERSION);
  try {
    ParseArguments(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);  // --help, --version
    std::fprintf(stderr, "%s: %s\n", app->get_name().c_str(),
                 ExplainParseError(*app, error).c_str());
    // CLI11's own exit codes name the kind of mistake; for us every wrong command line is 2.
    return 2;
  }
  return std::nullopt;
}

void WaitToDrain(const ProcessFlags& flags, const std::string& bound_address,
                 const std::string& metrics_address) {
  obs::Log(obs::Severity::kInfo, "serving",
           {{"address", bound_address},
            {"metrics",
             absl::StrCat(flags.tls_on() ? "https://" : "http://", metrics_address, "/metrics")},
            {"tls", flags.tls_on()}});
  const int signal = rpc::WaitForShutdownSignal();
  obs::Log(obs::Severity::kInfo, "draining",
           {{"signal", signal}, {"seconds", flags.drain_seconds}});
}

int RunServer(int argc, char** argv, const std::string& description, const std::string& program,
              const std::function<void(CLI::App*)>& add_flags, const ProcessFlags& flags,
              const std::function<absl::Status()>& serve) {
  rpc::BlockShutdownSignals();
  CLI::App app(description, program);
  WrapHelp(&app, kHelpColumns);
  add_flags(&app);
  if (const auto code = ParseFlags(&app, argc, argv)) return *code;
  absl::Status status = obs::InitLog(flags.node_id, flags.log_level);
  if (status.ok()) status = serve();
  if (status.ok()) return 0;
  obs::Log(obs::Severity::kError, "cannot start", {{"error", status.ToString()}});
  return 1;
}

}  // namespace mellow::wire
