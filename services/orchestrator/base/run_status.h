#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_STATUS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_STATUS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// A run as people see it.
struct RunStatus {
  std::string run_id;
  std::string spec;  // RunSpec, serialized
  RunState state = RunState::kRunning;
  int committed_steps = 0;
  std::string activity;             // "step 3: generate 12/32"
  std::string error;                // why it failed, or its guard stopped it
  AdapterRef adapter;               // after the last committed step, or what it went back to
  std::string adapter_path;         // PEFT folder of it; empty for the base model
  RunPins pins;                     // the models that it depends on
  std::optional<AdapterRef> start;  // the weights before step 1; none: the run was not opened yet
  ParameterCounts parameters;       // 0: not opened yet, or not active
  std::string progress;             // of a supervised run: as RunRecord::progress
  int64_t created_ms = 0;           // as in RunRecord
  int64_t ended_ms = 0;
  std::optional<StepRecord> last_step;  // committed
  std::vector<GuardTrip> trips;         // in order
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_RUN_STATUS_H_
