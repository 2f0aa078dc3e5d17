#ifndef MELLOW_SERVICES_ORCHESTRATOR_RUN_ADAPTER_SHELF_H_
#define MELLOW_SERVICES_ORCHESTRATOR_RUN_ADAPTER_SHELF_H_

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/orchestrator/run/driver_parts.h"

namespace mellow::orchestrator {

// A kept adapter as people see it.
struct ShelvedAdapter {
  AdapterRef ref;
  std::string run_id;        // empty: it was promoted from a folder
  int step = 0;              // 0: the run started from it, or its guard went back to that
  std::string learner_path;  // PEFT folder as the learner sees it; may be empty
  std::string path;          // in the adapter store; empty: its files are not there
  int64_t promotion = 0;     // sequence of the newest promotion; 0: none
  bool withdrawn = false;    // the guard of the run went back behind it
};

// What was trained and promoted here, for whoever wants an adapter that the nodes do not serve now.
// Thread-safe.
class AdapterShelf {
 public:
  // What `parts` point to must outlive it.
  explicit AdapterShelf(const DriverParts& parts) : parts_(parts) {}

  // By version, the oldest first.
  [[nodiscard]] absl::StatusOr<std::vector<ShelvedAdapter>> List() const;
  // Gives it to every policy node that may work, as a candidate, with its canary. NotFound: it is
  // not kept (the message says how to see those that are). Unavailable: no policy node is there, or
  // shutting down. FailedPrecondition: a node's log-probs are not those of the canary. Else what a
  // node answered, with its name.
  [[nodiscard]] absl::StatusOr<AdapterRef> Load(int64_t version);
  // Ends calls to nodes that are in progress.
  void Shutdown() { shutdown_.request_stop(); }

 private:
  absl::StatusOr<AdapterTarget> Find(int64_t version) const;
  // The folder, or nothing when its files are not there.
  std::string KeptFolder(const std::string& folder) const;

  const DriverParts parts_;
  std::stop_source shutdown_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_RUN_ADAPTER_SHELF_H_
