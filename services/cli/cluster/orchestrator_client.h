#ifndef MELLOW_SERVICES_CLI_CLUSTER_ORCHESTRATOR_CLIENT_H_
#define MELLOW_SERVICES_CLI_CLUSTER_ORCHESTRATOR_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/adapters/peft.h"
#include "common/rpc/watch.h"
#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::cli {

// The orchestrator as the CLI uses it. Every call has a deadline; errors carry the orchestrator's
// message and name its address. Thread-safe.
class OrchestratorClient {
 public:
  explicit OrchestratorClient(std::string address);

  const std::string& address() const { return address_; }

  [[nodiscard]] absl::StatusOr<std::string> StartRun(const orchestrator::v1::RunSpec& spec,
                                                     const std::string& request_id);
  // Empty id: the newest run.
  [[nodiscard]] absl::StatusOr<orchestrator::v1::Run> GetRun(const std::string& run_id);
  [[nodiscard]] absl::StatusOr<orchestrator::v1::Run> StopRun(const std::string& run_id);
  [[nodiscard]] absl::StatusOr<orchestrator::v1::Run> ResumeRun(const std::string& run_id);
  [[nodiscard]] absl::StatusOr<std::vector<orchestrator::v1::Node>> ListNodes();
  // Newest first.
  [[nodiscard]] absl::StatusOr<std::vector<orchestrator::v1::Run>> ListRuns();

  // `files`: null when the order names a version that the cluster keeps.
  [[nodiscard]] absl::StatusOr<orchestrator::v1::PromotionEvent> PromoteAdapter(
      const orchestrator::v1::PromoteAdapterRequest::Order& order,
      const adapters::PeftFiles* files);
  [[nodiscard]] absl::StatusOr<orchestrator::v1::PromotionEvent> RollBackChampion(
      const std::string& request_id, const std::string& reason);
  [[nodiscard]] absl::StatusOr<orchestrator::v1::ListPromotionsResponse> ListPromotions();

  [[nodiscard]] absl::StatusOr<std::vector<orchestrator::v1::KeptAdapter>> ListKeptAdapters();
  // Gives it to the policy nodes, which then answer whoever names its version.
  [[nodiscard]] absl::Status LoadAdapter(int64_t version);

  // Calls `on_event` for every message until the run has ended (OK), the stream broke (Unavailable)
  // or CancelWatch was called (Cancelled).
  [[nodiscard]] absl::Status WatchRun(
      const std::string& run_id, int after_step,
      const std::function<void(const orchestrator::v1::WatchRunResponse&)>& on_event);
  // From any thread, also before WatchRun: the next one returns at once.
  void CancelWatch();

 private:
  std::string address_;
  std::string peer_;  // for messages
  std::shared_ptr<grpc::Channel> channel_;
  rpc::Watch watch_;
};

// The orchestrator of the cluster in `folder`, where it is now. Errors of ServicesOfRole.
[[nodiscard]] absl::StatusOr<std::unique_ptr<OrchestratorClient>> ConnectOrchestrator(
    const std::string& folder);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_CLUSTER_ORCHESTRATOR_CLIENT_H_
