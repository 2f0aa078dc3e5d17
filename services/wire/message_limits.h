#ifndef MELLOW_SERVICES_WIRE_MESSAGE_LIMITS_H_
#define MELLOW_SERVICES_WIRE_MESSAGE_LIMITS_H_

// How large the requests of each method may be.

#include <cstdint>

#include "common/rpc/call_limiter.h"

namespace mellow::wire {

// Bytes of requests that only name something: a run, a version, a reason.
inline constexpr int64_t kMaxNameBytes = 64 << 10;
// Of those that describe something: a run file, a node with its adapters.
inline constexpr int64_t kMaxSpecBytes = 1 << 20;

// Every method of every service, as AccessPolicy has them. `one_text`: what a request with one text
// or one prompt may have; `largest`: those that carry many texts, rollouts or an adapter, which is
// the server's own limit. None is larger.
[[nodiscard]] rpc::MessageLimits MessageLimitsOf(int64_t one_text, int64_t largest);

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_MESSAGE_LIMITS_H_
