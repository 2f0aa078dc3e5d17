#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_METHODS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_METHODS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/run_method.h"

namespace mellow::orchestrator {

// The one place that knows every method of RunSpec. `spec`: a RunSpec, serialized, as the ledger
// keeps it. InvalidArgument naming the field; DataLoss: no RunSpec.
[[nodiscard]] absl::StatusOr<std::unique_ptr<RunMethod>> MethodOfRun(const DriverParts& parts,
                                                                     const std::string& spec);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_METHODS_H_
