#ifndef MELLOW_SERVICES_CLI_TRAIN_SFT_CLIENT_H_
#define MELLOW_SERVICES_CLI_TRAIN_SFT_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/watch.h"
#include "mellow/learner/v1/sft.pb.h"

namespace mellow::cli {

// A learner's supervised fine-tuning. Errors carry the learner's message and name its address.
// Thread-safe.
class SftClient {
 public:
  explicit SftClient(std::string address);

  const std::string& address() const { return address_; }

  [[nodiscard]] absl::StatusOr<learner::v1::SftRun> Start(const std::string& run_id,
                                                          const learner::v1::SftSpec& spec);
  [[nodiscard]] absl::StatusOr<learner::v1::SftRun> Stop(const std::string& run_id);
  // The finished runs, newest first.
  [[nodiscard]] absl::StatusOr<std::vector<learner::v1::ListSftResponse>> ListFinished();
  // Calls `on_event` for every message until the run has ended (OK), the stream broke (Unavailable)
  // or CancelWatch was called (Cancelled).
  [[nodiscard]] absl::Status Watch(
      const std::string& run_id, int after_step,
      const std::function<void(const learner::v1::WatchSftResponse&)>& on_event);
  // From any thread, also before Watch: the next one returns at once.
  void CancelWatch();

 private:
  std::string address_;
  std::string peer_;  // for messages
  std::shared_ptr<grpc::Channel> channel_;
  rpc::Watch watch_;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_SFT_CLIENT_H_
