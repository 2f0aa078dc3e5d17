#ifndef MELLOW_COMMON_TLS_CERTIFICATES_H_
#define MELLOW_COMMON_TLS_CERTIFICATES_H_

// The certificate of this process and the authorities it trusts, from PEM files that may be
// replaced while it runs.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/sync/followed_files.h"

namespace mellow::tls {

// Paths; empty: not given. `cert` is the chain, this process's own certificate first.
struct Files {
  std::string cert;
  std::string key;
  std::string ca;
};

// What the files held, as PEM.
struct Certificates {
  std::string cert;
  std::string key;
  std::string ca;
  absl::Time expires = absl::InfiniteFuture();  // of the first certificate in `cert`
};

// Whether a server asks its clients for a certificate.
enum class ClientAuth { kRequire, kOptional, kNone };

// "require", "optional", "none"; InvalidArgument names the value.
[[nodiscard]] absl::StatusOr<ClientAuth> ParseClientAuth(const std::string& text);

// Reads and checks: every file has PEM of its kind, the key belongs to the certificate, and the
// certificate is valid at `now`. InvalidArgument, NotFound, PermissionDenied, FailedPrecondition
// (not valid now): the message names the file.
[[nodiscard]] absl::StatusOr<Certificates> ReadCertificates(const Files& files, absl::Time now);

// Certificates that follow their files. What is new is checked first: a broken, half-written or
// expired set is logged and the old one stays.
using FollowedCertificates = FollowedFiles<Certificates>;

// Errors as ReadCertificates. `period`: how often the files are looked at.
[[nodiscard]] absl::StatusOr<std::shared_ptr<FollowedCertificates>> FollowCertificates(
    const Files& files, absl::Duration period = absl::Seconds(1));

}  // namespace mellow::tls

#endif  // MELLOW_COMMON_TLS_CERTIFICATES_H_
