#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_SFT_METHOD_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_SFT_METHOD_H_

#include <memory>
#include <string>

#include "services/orchestrator/run/driver_parts.h"
#include "services/orchestrator/run/run_method.h"

namespace mellow::orchestrator {

// Supervised fine-tuning: an SftDriver. `spec`: learner's SftSpec, serialized.
[[nodiscard]] std::unique_ptr<RunMethod> MakeSftMethod(const DriverParts& parts, std::string spec);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_SFT_METHOD_H_
