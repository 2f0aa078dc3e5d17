#ifndef MELLOW_COMMON_RL_TRAINER_NUMBERS_H_
#define MELLOW_COMMON_RL_TRAINER_NUMBERS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "common/json/value.h"
#include "common/rl/numpy_random.h"
#include "common/rl/running_moments.h"

namespace mellow::rl {

// PPO's numbers in trainer.json (train/trainer_numbers.h).
struct TrainerNumbers {
  int64_t step = 0;
  int64_t adam_steps = 0;
  double kl_coef = 0;
  RunningMoments moments;
  NumpyRandom::State random = {};
};

[[nodiscard]] json::Value ToJson(const TrainerNumbers& numbers);
// DataLoss: one is missing or impossible.
[[nodiscard]] absl::Status ReadTrainerNumbers(const json::Value& state, TrainerNumbers* numbers);

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_TRAINER_NUMBERS_H_
