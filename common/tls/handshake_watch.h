#ifndef MELLOW_COMMON_TLS_HANDSHAKE_WATCH_H_
#define MELLOW_COMMON_TLS_HANDSHAKE_WATCH_H_

#include <functional>

namespace mellow::tls {

// While it lives, `failed` is called (from whatever thread gives the connection up) for every
// connection to a TLS server of this process that sent something and ended before its handshake was
// over: plaintext, no common TLS version, a client that does not trust us, one without the ALPN
// that HTTP/2 needs. For servers whose OpenSSL contexts somebody else makes and keeps to himself,
// as gRPC does; only contexts made after the first watch are seen, and those of ServerContext,
// which counts for itself, are left out.
class HandshakeWatch {
 public:
  explicit HandshakeWatch(std::function<void()> failed);
  // Returns when no call of `failed` is in progress.
  ~HandshakeWatch();
  HandshakeWatch(const HandshakeWatch&) = delete;
  HandshakeWatch& operator=(const HandshakeWatch&) = delete;

 private:
  friend struct HandshakeWatches;
  const std::function<void()> failed_;
};

}  // namespace mellow::tls

#endif  // MELLOW_COMMON_TLS_HANDSHAKE_WATCH_H_
