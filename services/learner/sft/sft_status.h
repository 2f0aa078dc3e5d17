#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_STATUS_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_STATUS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "services/learner/sft/sft_plan.h"
#include "services/learner/sft/sft_records.h"

namespace mellow::learner {

enum class SftState { kRunning, kDone, kStopped, kFailed };

// The adapter that a run ended with.
struct SftResult {
  std::string folder;  // PEFT's format
  std::string sha256;
};

// A run as people see it.
struct SftStatus {
  std::string run_id;
  SftState state = SftState::kRunning;
  absl::Status error;  // why it failed
  int64_t step = 0;
  SftLength length;
  int64_t trainable_parameters = 0;
  int64_t total_parameters = 0;
  int64_t train_pairs = 0;
  int64_t dev_pairs = 0;
  int64_t truncated_sources = 0;
  int64_t truncated_targets = 0;
  std::optional<SftStepRecord> best;
  SftResult result;  // when done
};

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_STATUS_H_
