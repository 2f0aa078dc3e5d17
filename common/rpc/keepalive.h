#ifndef MELLOW_COMMON_RPC_KEEPALIVE_H_
#define MELLOW_COMMON_RPC_KEEPALIVE_H_

// How often our clients ask whether a connection still lives. Our servers have to allow it: gRPC's
// default takes more than one ping in 5 minutes for an attack and closes the connection.

#include "absl/time/time.h"

namespace mellow::rpc {

inline constexpr absl::Duration kKeepaliveInterval = absl::Seconds(20);
// No answer for that long: the connection is dead, and its calls fail with UNAVAILABLE.
inline constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(10);

[[nodiscard]] inline int ToMilliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

}  // namespace mellow::rpc

#endif  // MELLOW_COMMON_RPC_KEEPALIVE_H_
