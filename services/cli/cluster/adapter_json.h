#ifndef MELLOW_SERVICES_CLI_CLUSTER_ADAPTER_JSON_H_
#define MELLOW_SERVICES_CLI_CLUSTER_ADAPTER_JSON_H_

#include "common/json/value.h"
#include "mellow/common/v1/common.pb.h"

namespace mellow::cli {

// As everywhere in the CLI's output: {"version": 1, "sha256": "..."}.
[[nodiscard]] inline json::Value AdapterJson(const common::v1::AdapterRef& adapter) {
  return {{"version", adapter.version()}, {"sha256", adapter.sha256()}};
}

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_ADAPTER_JSON_H_
