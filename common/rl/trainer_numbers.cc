#include "common/rl/trainer_numbers.h"

#include "common/base/status.h"
#include "common/train/trainer_numbers.h"

namespace mellow::rl {
namespace {

using json::Value;
using train::ReadCount;
using train::ReadNumber;

}  // namespace

Value ToJson(const TrainerNumbers& n) {
  return {{"step", n.step},
          {"adam_steps", n.adam_steps},
          {"kl_coef", n.kl_coef},
          {"moments",
           {{"mean", n.moments.mean},
            {"std", n.moments.std},
            {"var", n.moments.var},
            {"count", n.moments.count}}},
          {"random", {{"position", n.random.position}, {"words", n.random.words}}}};
}

absl::Status ReadTrainerNumbers(const Value& state, TrainerNumbers* n) {
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

}  // namespace mellow::rl
