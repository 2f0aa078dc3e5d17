#ifndef MELLOW_TESTS_SERVICES_LEARNER_LEARNER_FIXTURE_H_
#define MELLOW_TESTS_SERVICES_LEARNER_LEARNER_FIXTURE_H_

#include <google/protobuf/util/json_util.h>

#include <string>
#include <vector>

#include "services/learner/ppo/ppo_session.h"
#include "services/learner/rpc/proto_convert.h"
#include "tests/testing/source_tree.h"

namespace mellow::learner {

inline const std::string kModel = mellow::SourceTree("/tests/parity/golden/t5-gated");
inline constexpr char kConfig[] =
    R"({"batch_size": 4, "mini_batch_size": 2, "ppo_epochs": 2, "learning_rate": 0.01, "seed": 5, "lora": {"r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}})";

// As a request with this PpoConfig opens it. InvalidArgument: it is none.
inline absl::StatusOr<RunSettings> MakeSettings(const std::string& run_id,
                                                const std::string& config = kConfig) {
  v1::OpenRunRequest request;
  request.set_run_id(run_id);
  const auto read = google::protobuf::util::JsonStringToMessage(config, request.mutable_config());
  if (!read.ok()) return absl::InvalidArgumentError(std::string(read.message()));
  return FromProto(request);
}

// A batch that differs from step to step, of a vocabulary that the golden model has.
inline std::vector<rl::Rollout> MakeRollouts(int step) {
  std::vector<rl::Rollout> rollouts;
  for (int i = 0; i < 4; ++i) {
    rl::Rollout rollout;
    for (int t = 0; t < 4 + i; ++t)
      rollout.query_ids.push_back(3 + (7 * t + 11 * i + 13 * step) % 40);
    rollout.query_ids.push_back(1);
    for (int t = 0; t < 3 + i; ++t) rollout.response_ids.push_back(2 + (5 * t + 3 * i + step) % 40);
    rollout.score = static_cast<float>(i) - 1.5f;
    rollouts.push_back(rollout);
  }
  return rollouts;
}

}  // namespace mellow::learner

#endif  // MELLOW_TESTS_SERVICES_LEARNER_LEARNER_FIXTURE_H_
