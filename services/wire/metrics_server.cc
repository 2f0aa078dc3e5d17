#include "services/wire/metrics_server.h"

#include "common/base/status.h"

namespace mellow::wire {
namespace {

// A scraper that is slow or keeps its connection open does not stop another.
constexpr int kThreads = 4;
constexpr size_t kMaxBodyBytes = 1024;

http::Response Answer(const http::Request& request, const obs::Metrics& metrics) {
  if (request.path != "/metrics") return {.status = 404, .body = "only /metrics is here\n"};
  if (request.method != "GET" && request.method != "HEAD")
    return {.status = 405, .headers = {{"allow", "GET, HEAD"}}, .body = "only GET\n"};
  return {.headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
          .body = metrics.Text()};
}

void SetExpiry(const tls::Certificates& certificates, obs::Metrics* metrics) {
  metrics
      ->AddGauge("mellow_tls_certificate_expiry_seconds",
                 "When the certificate in use expires, in seconds since 1970.")
      .Set(absl::ToDoubleSeconds(certificates.expires - absl::UnixEpoch()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<http::Server>> StartMetricsServer(
    const ProcessFlags& flags, const std::shared_ptr<tls::FollowedCertificates>& certificates,
    obs::Metrics* metrics) {
  http::ServerOptions options = {
      .address = flags.metrics_address, .threads = kThreads, .max_body_bytes = kMaxBodyBytes};
  if (certificates != nullptr) {
    MELLOW_ASSIGN_OR_RETURN(const tls::ClientAuth auth,
                            tls::ParseClientAuth(flags.tls_client_auth));
    options.tls = {certificates, auth, HandshakeFailureCounter(metrics, "metrics")};
  }
  absl::StatusOr<std::unique_ptr<http::Server>> server =
      http::Server::Start(options, [=](const http::Request& request) {
        if (certificates != nullptr) SetExpiry(*certificates->Current(), metrics);
        return Answer(request, *metrics);
      });
  if (!server.ok()) return Annotate(server.status(), "--metrics-address");
  return server;
}

std::function<void()> HandshakeFailureCounter(obs::Metrics* metrics, const std::string& port) {
  const obs::Counter failures = metrics->AddCounter(
      "mellow_http_handshake_failures_total",
      "Connections to an HTTP port whose TLS handshake failed, whatever the reason.",
      {{"port", port}});
  return [failures] { failures.Increment(); };
}

}  // namespace mellow::wire
