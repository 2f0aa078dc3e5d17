#ifndef MELLOW_SERVICES_CLI_CLUSTER_ADAPTER_ROWS_H_
#define MELLOW_SERVICES_CLI_CLUSTER_ADAPTER_ROWS_H_

// The adapters of a cluster: what its policy servers have now, and what is kept.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/json/value.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/run_names.h"

namespace mellow::cli {

// Which policy servers have which adapter.
struct AdapterRow {
  std::string sha256;
  std::vector<std::string> nodes;
  std::vector<std::string> champion_of;  // nodes
};
using AdapterRows = std::map<int64_t, AdapterRow>;  // by version

// A server that does not answer is left out.
[[nodiscard]] AdapterRows CollectAdapters(const ClusterFile& cluster);
[[nodiscard]] json::Value RowsJson(const AdapterRows& rows);

// One adapter with where it comes from.
struct AdapterOrigin {
  int64_t version = 0;
  AdapterRow served;
  std::string run_id;  // empty: the base model, or promoted from a folder
  std::string run_name;
  int step = 0;              // 0: the run started from it
  int64_t promotion = 0;     // sequence of the newest one; 0: none
  bool has_files = false;    // at the orchestrator; of the base model too
  std::string learner_path;  // PEFT folder as the learner sees it
  bool champion = false;     // what users get
  bool newest = false;       // the largest version of a committed step that is not withdrawn
  bool withdrawn = false;    // the guard of its run went back behind it
};

// Both, by version. `champion`: the version that users get; 0: the base model.
[[nodiscard]] std::vector<AdapterOrigin> JoinAdapters(const AdapterRows& served,
                                                      const KeptAdapters& kept, int64_t champion);

[[nodiscard]] json::Value AdaptersJson(absl::Span<const AdapterOrigin> adapters);
// A table below 80 columns. `runs`: for the ids, shortened alike everywhere; `policies`: how many
// servers there are.
[[nodiscard]] std::string AdaptersText(absl::Span<const AdapterOrigin> adapters,
                                       absl::Span<const orchestrator::v1::Run> runs,
                                       size_t policies);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_ADAPTER_ROWS_H_
