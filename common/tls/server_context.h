#ifndef MELLOW_COMMON_TLS_SERVER_CONTEXT_H_
#define MELLOW_COMMON_TLS_SERVER_CONTEXT_H_

#include <openssl/ssl.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "common/sync/mutex.h"
#include "common/tls/certificates.h"
#include "common/tls/openssl.h"

namespace mellow::tls {

// Keeps an SSL_CTX of somebody else's server (TLS 1.2 or newer, no session resumption) on the
// current certificates: every handshake gets those of its time. Thread-safe. Must outlive the
// SSL_CTX.
class ServerContext {
 public:
  // `handshake_failed` is called from whatever thread a handshake failed in; may be null.
  ServerContext(std::shared_ptr<FollowedCertificates> certificates, ClientAuth client_auth,
                std::function<void()> handshake_failed);

  // False: OpenSSL has no memory.
  [[nodiscard]] bool SetUp(SSL_CTX* context);

 private:
  [[nodiscard]] bool Observe(SSL_CTX* context);
  static int OnClientHello(SSL* ssl, int* alert, void* self);
  static void OnInfo(const SSL* ssl, int where, int result);
  // A context with the current certificates; null: they cannot be used.
  std::shared_ptr<SSL_CTX> Current();

  const std::shared_ptr<FollowedCertificates> certificates_;
  const ClientAuth client_auth_;
  const std::function<void()> handshake_failed_;
  Mutex mutex_;
  std::shared_ptr<const Certificates> made_from_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<SSL_CTX> made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::tls

#endif  // MELLOW_COMMON_TLS_SERVER_CONTEXT_H_
