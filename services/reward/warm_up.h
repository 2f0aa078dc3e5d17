#ifndef MELLOW_SERVICES_REWARD_WARM_UP_H_
#define MELLOW_SERVICES_REWARD_WARM_UP_H_

#include "absl/status/statusor.h"
#include "common/nn/sequence_classifier.h"

namespace mellow::reward {

// Classifies a few made-up texts before the node says SERVING: touches all weights once and
// measures the speed that it registers with, in tokens per second. Internal: logits that are not
// finite.
[[nodiscard]] absl::StatusOr<double> WarmUp(nn::SequenceClassifier& model);

}  // namespace mellow::reward

#endif  // MELLOW_SERVICES_REWARD_WARM_UP_H_
