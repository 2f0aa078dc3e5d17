#ifndef MELLOW_SERVICES_ORCHESTRATOR_ORCHESTRATOR_OPTIONS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ORCHESTRATOR_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "services/orchestrator/base/canary.h"
#include "services/wire/service_main.h"

namespace mellow::orchestrator {

struct OrchestratorOptions {
  wire::ServiceFlags service;
  std::string data_dir = ".";  // ledger.db and the published adapters
  std::string policy_model;    // folder with the policy's tokenizer
  int keep_adapters = 0;       // newest ones of a run; 0: all
  double heartbeat_seconds = 2;
  double lost_after_seconds = 6;
  double canary_retry_seconds = 2;
  double canary_bound = kDefaultCanaryBound;

  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

void AddOrchestratorFlags(CLI::App* app, OrchestratorOptions* options);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ORCHESTRATOR_OPTIONS_H_
