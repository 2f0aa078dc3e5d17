#ifndef MELLOW_SERVICES_POLICY_WARM_UP_H_
#define MELLOW_SERVICES_POLICY_WARM_UP_H_

#include "absl/status/statusor.h"
#include "common/nn/seq2seq_model.h"

namespace mellow::policy {

// Generates a few tokens for a few made-up prompts before the node says SERVING: touches all
// weights once and measures the speed that it registers with, in generated tokens per second.
[[nodiscard]] absl::StatusOr<double> WarmUp(nn::Seq2SeqModel& model);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_WARM_UP_H_
