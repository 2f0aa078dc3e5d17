#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_PPO_METHOD_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_PPO_METHOD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/run_method.h"

namespace mellow::orchestrator {

// PPO: a RunDriver over the run's prompts. InvalidArgument (field named) when the data cannot be
// read.
[[nodiscard]] absl::StatusOr<std::unique_ptr<RunMethod>> MakePpoMethod(const DriverParts& parts,
                                                                       const RunConfig& config);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_PPO_METHOD_H_
