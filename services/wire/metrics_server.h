#ifndef MELLOW_SERVICES_WIRE_METRICS_SERVER_H_
#define MELLOW_SERVICES_WIRE_METRICS_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/http/http.h"
#include "common/obs/metrics.h"
#include "services/wire/process_flags.h"

namespace mellow::wire {

// Serves GET /metrics at flags.metrics_address: over TLS when `certificates` is there, with the
// client authentication of the flags (any certificate of the CA; roles do not matter here).
// It also shows mellow_tls_certificate_expiry_seconds. Unavailable: the port is taken (named).
// `metrics` must outlive the server.
[[nodiscard]] absl::StatusOr<std::unique_ptr<http::Server>> StartMetricsServer(
    const ProcessFlags& flags, const std::shared_ptr<tls::FollowedCertificates>& certificates,
    obs::Metrics* metrics);

// For http::TlsOptions: counts mellow_http_handshake_failures_total{port}.
[[nodiscard]] std::function<void()> HandshakeFailureCounter(obs::Metrics* metrics,
                                                            const std::string& port);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_METRICS_SERVER_H_
