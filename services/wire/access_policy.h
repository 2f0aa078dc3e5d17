#ifndef MELLOW_SERVICES_WIRE_ACCESS_POLICY_H_
#define MELLOW_SERVICES_WIRE_ACCESS_POLICY_H_

// The roles of a Mellow cluster, and who may call what.

#include <set>
#include <string>

#include "common/rpc/access.h"

namespace mellow::wire {

inline constexpr const char* kOperator = "operator";  // a person who runs trainings: `mellow`
inline constexpr const char* kOrchestrator = "orchestrator";  // the orchestrator
inline constexpr const char* kNode = "node";                  // policy, reward, learner, review
inline constexpr const char* kUser = "user";                  // whoever wants summaries and scores

// Every method of every service. The same table for every server: who knows a method's name knows
// its rule.
[[nodiscard]] const rpc::AccessTable& AccessPolicy();

// What the certificate of a server of ours says.
[[nodiscard]] const std::set<std::string>& ServerRoles();
// Not limited in rate or concurrency.
[[nodiscard]] const std::set<std::string>& UnlimitedRoles();

}  // namespace mellow::wire

#endif  // MELLOW_SERVICES_WIRE_ACCESS_POLICY_H_
