#ifndef MELLOW_SERVICES_LEARNER_WORKERS_PACKED_WEIGHTS_H_
#define MELLOW_SERVICES_LEARNER_WORKERS_PACKED_WEIGHTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/adapters/peft.h"
#include "common/rl/group_work.h"

namespace mellow::learner {

// Weights as they go to a worker. Their hash is their name there; the base model's is empty.
struct PackedWeights {
  std::string sha256;
  adapters::PeftFiles adapter;
  rl::ValueHead value_head;
};

// An adapter without modules is the base model, which needs no sending.
[[nodiscard]] PackedWeights Pack(const rl::TrainedWeights& weights);
// DataLoss: the hash is another. Errors of adapters::ParsePeft.
[[nodiscard]] absl::StatusOr<rl::TrainedWeights> Unpack(const PackedWeights& weights);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_WORKERS_PACKED_WEIGHTS_H_
