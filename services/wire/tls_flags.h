#ifndef MELLOW_SERVICES_WIRE_TLS_FLAGS_H_
#define MELLOW_SERVICES_WIRE_TLS_FLAGS_H_

// The flags by which every program of ours is told its certificates, with the same environment
// variables everywhere.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/tls/certificates.h"

namespace CLI {
class App;
}

namespace mellow::wire {

// --tls-cert, --tls-key, --tls-ca (MELLOW_TLS_CERT, MELLOW_TLS_KEY, MELLOW_TLS_CA).
void AddTlsFlags(CLI::App* app, tls::Files* files);

// What a server needs: all three files, or none (plaintext). InvalidArgument names the flags.
[[nodiscard]] absl::Status CheckServerFiles(const tls::Files& files);
// What a client needs: the CA, and certificate and key together; or none of them.
[[nodiscard]] absl::Status CheckClientFiles(const tls::Files& files);

// Follows a server's files; null when there are none. Errors: those of the files.
[[nodiscard]] absl::StatusOr<std::shared_ptr<tls::FollowedCertificates>> StartCertificates(
    const tls::Files& files);

// True for addresses that only this machine reaches: localhost, 127.0.0.0/8, ::1.
[[nodiscard]] bool IsLoopback(const std::string& host);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_TLS_FLAGS_H_
