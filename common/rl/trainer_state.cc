// What a checkpoint has of PPO beside the trainer's own (train/lora_trainer.h).

#include "common/base/status.h"
#include "common/json/value.h"
#include "common/rl/trainer_core.h"

namespace mellow::rl {
namespace {

using json::Value;
using train::ReadCount;
using train::ReadNumber;

Value MadeWith(const PpoConfig& config) {
  return {{"seed", config.seed},
          {"reference", std::string(ReferenceName(config.reference))},
          {"trl_compat", config.trl_compat}};
}

struct Numbers {
  int64_t step = 0;
  int64_t adam_steps = 0;
  double kl_coef = 0;
  RunningMoments moments;
  NumpyRandom::State random;
};

absl::Status ReadNumbers(const Value& state, Numbers* n) {
  MELLOW_RETURN_IF_ERROR(ReadCount(state, "step", &n->step));
  MELLOW_RETURN_IF_ERROR(ReadCount(state, "adam_steps", &n->adam_steps));
  MELLOW_RETURN_IF_ERROR(ReadNumber(state, "kl_coef", &n->kl_coef));
  const Value& moments = state["moments"];
  MELLOW_RETURN_IF_ERROR(ReadNumber(moments, "mean", &n->moments.mean));
  MELLOW_RETURN_IF_ERROR(ReadNumber(moments, "std", &n->moments.std));
  MELLOW_RETURN_IF_ERROR(ReadNumber(moments, "var", &n->moments.var));
  MELLOW_RETURN_IF_ERROR(ReadNumber(moments, "count", &n->moments.count));
  const Value& random = state["random"];
  int64_t position = 0;
  MELLOW_RETURN_IF_ERROR(ReadCount(random, "position", &position));
  if (position > NumpyRandom::kStateWords) return absl::DataLossError("random.position");
  n->random.position = static_cast<int>(position);
  const Value& words = random["words"];
  if (!words.is_array() || words.size() != n->random.words.size())
    return absl::DataLossError("random.words is not a list of 624 numbers");
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].To(&n->random.words[i]))
      return absl::DataLossError("random.words holds something else than a number");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TrainerCore::SaveState(const std::string& folder) const {
  return trainer_.SaveState(
      folder, MadeWith(config_),
      {{"step", step_},
       {"adam_steps", trainer_.adam().steps()},
       {"kl_coef", kl_.value()},
       {"moments",
        {{"mean", moments_.mean},
         {"std", moments_.std},
         {"var", moments_.var},
         {"count", moments_.count}}},
       {"random", {{"position", random_.state().position}, {"words", random_.state().words}}}},
      train::NamedParameters(reference_, "reference."));
}

absl::Status TrainerCore::RestoreState(const std::string& folder) {
  Numbers numbers;
  MELLOW_RETURN_IF_ERROR(trainer_.RestoreState(
      folder, MadeWith(config_), train::NamedParameters(reference_, "reference."),
      [&](const Value& state) { return ReadNumbers(state, &numbers); }));
  trainer_.adam()->set_steps(numbers.adam_steps);
  kl_.set_value(numbers.kl_coef);
  moments_ = numbers.moments;
  random_.set_state(numbers.random);
  step_ = numbers.step;
  return absl::OkStatus();
}

}  // namespace mellow::rl
