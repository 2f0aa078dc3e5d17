#include "services/wire/service_main.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/server.h"
#include "common/rpc/shutdown_signals.h"
#include "services/wire/node_registration.h"

namespace mellow::wire {

absl::Status ServiceFlags::Validate() const {
  if (!(drain_seconds >= 0 && drain_seconds <= 3600))
    return absl::InvalidArgumentError(
        absl::StrCat("--drain-seconds ", drain_seconds, ": between 0 and 3600"));
  if (max_message_mib < 1 || max_message_mib > 1024)
    return absl::InvalidArgumentError(
        absl::StrCat("--max-message-mib ", max_message_mib, ": between 1 and 1024"));
  if (node_id.empty()) return absl::InvalidArgumentError("--node-id: must not be empty");
  for (const auto& [flag, value] :
       {std::pair("--orchestrator", orchestrator), std::pair("--advertise", advertise)}) {
    if (!value.empty() && value.find(':') == std::string::npos)
      return absl::InvalidArgumentError(absl::StrCat(flag, " ", value, ": expected HOST:PORT"));
  }
  return absl::OkStatus();
}

void AddServiceFlags(CLI::App* app, ServiceFlags* flags, const std::string& node_id) {
  flags->node_id = node_id;
  app->option_defaults()->always_capture_default();
  app->add_option("--address", flags->address,
                  "Where to listen for gRPC, HOST:PORT; port 0 picks a free one");
  app->add_option("--metrics-address", flags->metrics_address, "Where to serve GET /metrics");
  app->add_option(
      "--advertise", flags->advertise,
      "HOST:PORT under which the other services reach this one (default: the bound address)");
  app->add_option("--orchestrator", flags->orchestrator,
                  "Register there, HOST:PORT (default: register nowhere)");
  app->add_option("--node-id", flags->node_id, "Name of this node, the same after a restart");
  app->add_option("--log-level", flags->log_level, "debug, info, warning or error");
  app->add_option("--drain-seconds", flags->drain_seconds,
                  "After SIGTERM, calls in progress get that long");
  app->add_option("--max-message-mib", flags->max_message_mib, "Largest message taken, in MiB");
  app->add_option("--rpc-threads", flags->rpc_threads, "Most threads that serve calls");
}

std::optional<int> ParseFlags(CLI::App* app, int argc, char** argv) {
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11's own exit codes name the kind of mistake; for us every wrong command line is 2.
    return app->exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

absl::Status ServeUntilSignal(const ServiceFlags& flags, ServiceParts parts) {
  rpc::ServerOptions options;
  options.address = flags.address;
  options.max_message_bytes = flags.max_message_mib << 20;
  options.max_threads = flags.rpc_threads;
  MELLOW_ASSIGN_OR_RETURN(auto metrics_server,
                          obs::MetricsServer::Start(flags.metrics_address, parts.metrics));
  MELLOW_ASSIGN_OR_RETURN(auto server,
                          rpc::Server::Start(options, parts.services, parts.names, parts.metrics));
  const std::string advertised = flags.advertise.empty() ? server->address() : flags.advertise;
  std::unique_ptr<NodeRegistration> registration;
  if (!flags.orchestrator.empty() && parts.describe != nullptr) {
    registration =
        NodeRegistration::Start(flags.orchestrator, flags.node_id, [&parts, &advertised] {
          orchestrator::v1::RegisterNodeRequest request = parts.describe();
          request.set_address(advertised);
          return request;
        });
  }
  server->SetServing(true);
  const std::string metrics_host =
      flags.metrics_address.substr(0, flags.metrics_address.rfind(':'));
  obs::Log(obs::Severity::kInfo, "serving",
           {{"address", server->address()},
            {"metrics",
             absl::StrCat("http://", metrics_host, ":", metrics_server->port(), "/metrics")}});

  const int signal = rpc::WaitForShutdownSignal();
  obs::Log(obs::Severity::kInfo, "draining",
           {{"signal", signal}, {"seconds", flags.drain_seconds}});
  registration.reset();
  server->SetServing(false);
  if (parts.drain != nullptr) parts.drain();
  server->Shutdown(absl::Seconds(flags.drain_seconds));
  obs::Log(obs::Severity::kInfo, "stopped");
  return absl::OkStatus();
}

int FailMain(const absl::Status& status) {
  obs::Log(obs::Severity::kError, "cannot start", {{"error", status.ToString()}});
  return 1;
}

}  // namespace mellow::wire
