#ifndef MELLOW_COMMON_TLS_CERTIFICATES_H_
#define MELLOW_COMMON_TLS_CERTIFICATES_H_

// The certificate of this process and the authorities it trusts, from PEM files that may be
// replaced while it runs.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/sync/file_watch.h"
#include "common/sync/mutex.h"

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

// Follows the files. What is new is checked first: a broken, half-written or expired set is logged
// and the old one stays. Thread-safe.
class CertificateWatcher {
 public:
  using Follower = std::function<void(const Certificates&)>;

  // Errors as ReadCertificates. `period`: how often the files are looked at.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<CertificateWatcher>> Start(
      Files files, absl::Duration period = absl::Seconds(1));

  std::shared_ptr<const Certificates> Current() const;
  // `follower` is called now, and with every new set from the watching thread; what it uses must
  // live as long as this object. It may not call Follow.
  void Follow(Follower follower);

 private:
  explicit CertificateWatcher(Files files) : files_(std::move(files)) {}
  void Reload();
  void Publish(Certificates next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(publishing_);

  const Files files_;
  Mutex publishing_;  // before mutex_: followers see every set, in order
  std::vector<Follower> followers_ ABSL_GUARDED_BY(publishing_);
  mutable Mutex mutex_;
  std::shared_ptr<const Certificates> current_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<FileWatch> watch_;  // last: its thread uses the others
};

}  // namespace mellow::tls

#endif  // MELLOW_COMMON_TLS_CERTIFICATES_H_
