#ifndef MELLOW_COMMON_RPC_HANDSHAKE_LOG_H_
#define MELLOW_COMMON_RPC_HANDSHAKE_LOG_H_

#include <functional>

namespace mellow::rpc {

// While it lives, `failed` is called (from gRPC's threads) for every connection to a gRPC server of
// this process whose handshake failed: plaintext to a TLS port, no common TLS version, a client
// that does not trust us or that we do not trust. gRPC 1.51 tells that to its log alone, so this
// takes the log over; what gRPC logs as an error goes to our log.
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

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_HANDSHAKE_LOG_H_
