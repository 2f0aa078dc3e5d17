#include "services/wire/service_main.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/obs/log.h"
#include "common/rpc/server.h"
#include "common/rpc/shutdown_signals.h"
#include "common/sync/clock_watch.h"
#include "common/sync/stop_event.h"
#include "services/wire/client_security.h"
#include "services/wire/methods.h"
#include "services/wire/metrics_server.h"
#include "services/wire/node_registration.h"
#include "services/wire/tls_flags.h"

namespace mellow::wire {
namespace {

// What is less costs the timers no more than this.
constexpr absl::Duration kLeastSetBack = absl::Seconds(10);

// What an orderly end may take beyond --drain-seconds before the process ends all the same: a call
// that gRPC lost (it does not survive every failed allocation) would be waited for forever, and a
// learner's step may take minutes, which costs nothing but to be done again.
constexpr absl::Duration kLastGrace = absl::Seconds(10);

// Ends the process when it is not destroyed in time.
class DrainLimit {
 public:
  explicit DrainLimit(absl::Duration limit)
      : thread_([this, limit] {
          if (done_.WaitFor(limit)) return;
          obs::Log(obs::Severity::kError, "the drain does not end: ending without it");
          _exit(1);
        }) {}
  ~DrainLimit() { done_.Set(); }

 private:
  StopEvent done_;
  std::jthread thread_;  // last: it uses the other
};

// Deadlines, keepalive and reconnecting would stand still for as long as the clock was set back,
// and an orderly end with them. A process that was killed loses nothing, so it ends like one.
void EndBecauseOfTheClock(absl::Duration by) {
  obs::Log(obs::Severity::kError, "the clock was set back: ending, to be started again",
           {{"seconds", absl::ToDoubleSeconds(by)}});
  _exit(1);
}

int LargestMessage(const ServiceFlags& flags, const MessageNeeds& messages) {
  const int64_t mib = flags.max_message_mib > 0
                          ? flags.max_message_mib
                          : std::clamp<int64_t>((messages.largest - 1) / (1 << 20) + 1, 1, 1024);
  return static_cast<int>(mib << 20);
}

}  // namespace

absl::Status ServiceFlags::Validate() const {
  MELLOW_RETURN_IF_ERROR(ProcessFlags::Validate());
  if (max_message_mib < 0 || max_message_mib > 1024)
    return absl::InvalidArgumentError(
        absl::StrCat("--max-message-mib ", max_message_mib, ": between 0 and 1024"));
  for (const auto& [flag, value] :
       {std::pair("--orchestrator", orchestrator), std::pair("--advertise", advertise)}) {
    if (!value.empty() && value.find(':') == std::string::npos)
      return absl::InvalidArgumentError(absl::StrCat(flag, " ", value, ": expected HOST:PORT"));
  }
  if (!(client_rate >= 0 && client_rate <= 1e6))
    return absl::InvalidArgumentError(
        absl::StrCat("--client-rate ", client_rate, ": between 0 and 1000000"));
  if (client_concurrency < 0 || client_concurrency > 1000000)
    return absl::InvalidArgumentError(
        absl::StrCat("--client-concurrency ", client_concurrency, ": between 0 and 1000000"));
  for (const auto& [flag, file] :
       {std::pair("--tokens", tokens), std::pair("--token-file", token_file)}) {
    if (!file.empty() && !tls_on())
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", file, ": tokens travel over TLS only (--tls-cert, ...)"));
  }
  if (tls_on() && tls_client_auth == "none" && tokens.empty())
    return absl::InvalidArgumentError(
        "--tls-client-auth none: without --tokens nobody could show who they are");
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
  app->add_option("--max-message-mib", flags->max_message_mib,
                  "Largest message taken, in MiB (0: as the other flags of this service need)");
  app->add_option("--rpc-threads", flags->rpc_threads,
                  "Most threads that serve calls (those that wait for a model need none)");
  app->add_option("--tokens", flags->tokens,
                  "File with the bearer tokens that are taken, one per line: TOKEN ROLE NAME (or "
                  "sha256:HEX of the token); read again when it changes")
      ->envname("MELLOW_TOKENS");
  AddTokenFileFlag(app, &flags->token_file);
  app->add_option("--insecure-health-address", flags->insecure_health_address,
                  "An extra port without TLS that answers grpc.health.v1 and nothing else, "
                  "HOST:PORT: for Kubernetes' probes")
      ->envname("MELLOW_INSECURE_HEALTH_ADDRESS");
  app->add_flag("--no-reflection", flags->no_reflection, "Do not describe the services to callers")
      ->envname("MELLOW_NO_REFLECTION");
  app->add_option("--client-rate", flags->client_rate,
                  "Work per second (calls, by the texts or rows that they ask for) that one client "
                  "may have on average, twice as much at once (0: no "
                  "limit). A client is who the certificate or token names, without TLS an address");
  app->add_option(
      "--client-concurrency", flags->client_concurrency,
      "Work that one client may have in progress, counted as for --client-rate (0: no limit)");
}

absl::StatusOr<ServiceSecurity> ServiceSecurity::Start(const ServiceFlags& flags) {
  ServiceSecurity security;
  MELLOW_ASSIGN_OR_RETURN(security.certificates_, StartCertificates(flags.tls));
  if (security.certificates_ == nullptr) return security;
  if (!flags.tokens.empty()) {
    MELLOW_ASSIGN_OR_RETURN(security.tokens_, rpc::TokenTable::Open(flags.tokens));
  }
  MELLOW_RETURN_IF_ERROR(UseClientSecurity(security.certificates_, flags.token_file));
  return security;
}

std::unique_ptr<rpc::CallLimiter> ServiceSecurity::MakeLimiter(const ServiceFlags& flags,
                                                               const MessageNeeds& messages,
                                                               obs::Metrics* metrics) const {
  return std::make_unique<rpc::CallLimiter>(
      rpc::ClientLimits::Options{.rate = flags.client_rate,
                                 .concurrency = flags.client_concurrency},
      tokens_, UnlimitedRoles(), rpc::RefusalCounter(metrics),
      MessageLimitsOf(messages.one_text, LargestMessage(flags, messages)));
}

absl::Status ServeUntilSignal(const ServiceFlags& flags, const ServiceSecurity& security,
                              ServiceParts parts) {
  rpc::ServerOptions options;
  options.address = flags.address;
  options.max_message_bytes = LargestMessage(flags, parts.messages);
  options.max_threads = flags.rpc_threads;
  options.reflection = !flags.no_reflection;
  options.health_address = flags.insecure_health_address;
  if (security.certificates_ != nullptr) {
    MELLOW_ASSIGN_OR_RETURN(const tls::ClientAuth auth,
                            tls::ParseClientAuth(flags.tls_client_auth));
    options.security = {security.certificates_, auth, security.tokens_, AccessPolicy()};
  }
  MELLOW_ASSIGN_OR_RETURN(const auto metrics_server,
                          StartMetricsServer(flags, security.certificates_, parts.metrics));
  MELLOW_ASSIGN_OR_RETURN(auto server,
                          rpc::Server::Start(options, parts.services, parts.names, parts.metrics));
  const std::string advertised = flags.advertise.empty() ? server->address() : flags.advertise;
  std::unique_ptr<NodeRegistration> registration;
  if (!flags.orchestrator.empty() && parts.describe != nullptr) {
    registration =
        NodeRegistration::Start(flags.orchestrator, flags.node_id, [&parts, &options, &advertised] {
          orchestrator::v1::RegisterNodeRequest request = parts.describe();
          request.set_address(advertised);
          request.mutable_capacity()->set_max_message_bytes(options.max_message_bytes);
          return request;
        });
  }
  server->SetServing(true);
  const ClockWatch clock_watch(kLeastSetBack, EndBecauseOfTheClock);
  if (server->health_port() != 0) {
    obs::Log(obs::Severity::kInfo, "health checks without TLS",
             {{"address", flags.insecure_health_address}, {"port", server->health_port()}});
  }
  WaitToDrain(flags, server->address(), metrics_server->address());
  const DrainLimit limit(absl::Seconds(flags.drain_seconds) + kLastGrace);
  registration.reset();
  server->SetServing(false);
  if (parts.drain != nullptr) parts.drain();
  server->Shutdown(absl::Seconds(flags.drain_seconds));
  obs::Log(obs::Severity::kInfo, "stopped");
  return absl::OkStatus();
}

void LogModelWarnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings)
    obs::Log(obs::Severity::kWarning, "not everything of the model is known", {{"what", warning}});
}

}  // namespace mellow::wire
