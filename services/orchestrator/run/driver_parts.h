#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_DRIVER_PARTS_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_DRIVER_PARTS_H_

#include <cstdint>

#include "common/text/tokenizer.h"
#include "services/orchestrator/base/canary.h"
#include "services/orchestrator/ledger/adapter_store.h"
#include "services/orchestrator/ledger/ledger.h"
#include "services/orchestrator/nodes/node_clients.h"
#include "services/orchestrator/nodes/node_registry.h"
#include "services/orchestrator/nodes/node_supervisor.h"
#include "services/orchestrator/nodes/orchestrator_metrics.h"

namespace mellow::orchestrator {

// What runs share. All must outlive every driver.
struct DriverParts {
  Ledger* ledger = nullptr;
  NodeRegistry* registry = nullptr;
  NodeClients* clients = nullptr;
  NodeSupervisor* supervisor = nullptr;
  AdapterStore* adapters = nullptr;
  OrchestratorMetrics* metrics = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  double canary_bound = kDefaultCanaryBound;
  int32_t decoder_start_token_id = 0;  // of the policy
  int keep_adapters = 0;               // newest ones of a run; 0: all
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_DRIVER_PARTS_H_
