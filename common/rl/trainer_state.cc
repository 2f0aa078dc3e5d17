// What a checkpoint has of PPO beside the trainer's own (train/lora_trainer.h).

#include "common/base/status.h"
#include "common/json/value.h"
#include "common/rl/trainer_core.h"
#include "common/rl/trainer_numbers.h"

namespace mellow::rl {
namespace {

json::Value MadeWith(const PpoConfig& config) {
  return {{"seed", config.seed},
          {"reference", std::string(ReferenceName(config.reference))},
          {"trl_compat", config.trl_compat}};
}

}  // namespace

absl::Status TrainerCore::SaveState(const std::string& folder) const {
  return trainer_.SaveState(folder, MadeWith(config_),
                            ToJson({.step = step_,
                                    .adam_steps = trainer_.adam().steps(),
                                    .kl_coef = kl_.value(),
                                    .moments = moments_,
                                    .random = random_.state()}),
                            train::NamedParameters(reference_, "reference."));
}

absl::Status TrainerCore::RestoreState(const std::string& folder) {
  TrainerNumbers numbers;
  MELLOW_RETURN_IF_ERROR(trainer_.RestoreState(
      folder, MadeWith(config_), train::NamedParameters(reference_, "reference."),
      [&](const json::Value& state) { return ReadTrainerNumbers(state, &numbers); }));
  trainer_.adam()->set_steps(numbers.adam_steps);
  kl_.set_value(numbers.kl_coef);
  moments_ = numbers.moments;
  random_.set_state(numbers.random);
  step_ = numbers.step;
  return absl::OkStatus();
}

}  // namespace mellow::rl
