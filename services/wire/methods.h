#ifndef MELLOW_SERVICES_WIRE_METHODS_H_
#define MELLOW_SERVICES_WIRE_METHODS_H_

// The roles of a Mellow cluster, and of every method of every service: who may call it, and how
// large its request may be.

#include <cstdint>
#include <set>
#include <string>

#include "common/rpc/access.h"
#include "common/rpc/call_limiter.h"

namespace mellow::wire {

inline constexpr const char* kOperator = "operator";  // a person who runs trainings: `mellow`
inline constexpr const char* kOrchestrator = "orchestrator";  // the orchestrator
inline constexpr const char* kNode = "node";                  // policy, reward, learner, review
inline constexpr const char* kUser = "user";                  // whoever wants summaries and scores

// Bytes of requests that only name something: a run, a version, a reason.
inline constexpr int64_t kMaxNameBytes = 64 << 10;
// Bytes of those that describe something: a run file, a node with its adapters.
inline constexpr int64_t kMaxSpecBytes = 1 << 20;

// The same table for every server: who knows a method's name knows its rule.
[[nodiscard]] const rpc::AccessTable& AccessPolicy();

// `one_text`: what a request with one text or one prompt may have; `largest`: those that carry many
// texts, rollouts or an adapter, which is the server's own limit. None is larger.
[[nodiscard]] rpc::MessageLimits MessageLimitsOf(int64_t one_text, int64_t largest);

// What the certificate of a server of ours says.
[[nodiscard]] const std::set<std::string>& ServerRoles();
// Not limited in rate or concurrency.
[[nodiscard]] const std::set<std::string>& UnlimitedRoles();

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_METHODS_H_
