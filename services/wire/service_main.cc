#include "services/wire/service_main.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/server.h"
#include "common/rpc/shutdown_signals.h"
#include "services/wire/node_registration.h"

namespace mellow::wire {

absl::Status ServiceFlags::Validate() const {
  MELLOW_RETURN_IF_ERROR(ProcessFlags::Validate());
  if (max_message_mib < 1 || max_message_mib > 1024)
    return absl::InvalidArgumentError(
        absl::StrCat("--max-message-mib ", max_message_mib, ": between 1 and 1024"));
  for (const auto& [flag, value] :
       {std::pair("--orchestrator", orchestrator), std::pair("--advertise", advertise)}) {
    if (!value.empty() && value.find(':') == std::string::npos)
      return absl::InvalidArgumentError(absl::StrCat(flag, " ", value, ": expected HOST:PORT"));
  }
  return absl::OkStatus();
}

void AddServiceFlags(CLI::App* app, ServiceFlags* flags, const std::string& node_id) {
  AddProcessFlags(app, flags, node_id, "gRPC");
  app->add_option("--advertise", flags->advertise,
                  "HOST:PORT under which the other services reach this one (default: the bound "
                  "address); {host} is the host's name")
      ->transform(WithHostName);
  app->add_option("--orchestrator", flags->orchestrator,
                  "Register there, HOST:PORT (default: register nowhere)");
  app->add_option("--max-message-mib", flags->max_message_mib, "Largest message taken, in MiB");
  app->add_option("--rpc-threads", flags->rpc_threads, "Most threads that serve calls");
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
  WaitToDrain(flags, server->address(), metrics_server->port());
  registration.reset();
  server->SetServing(false);
  if (parts.drain != nullptr) parts.drain();
  server->Shutdown(absl::Seconds(flags.drain_seconds));
  obs::Log(obs::Severity::kInfo, "stopped");
  return absl::OkStatus();
}

}  // namespace mellow::wire
