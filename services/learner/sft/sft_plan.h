#ifndef MELLOW_SERVICES_LEARNER_SFT_SFT_PLAN_H_
#define MELLOW_SERVICES_LEARNER_SFT_SFT_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/data/data_spec.h"
#include "common/sft/sft_config.h"

namespace mellow::learner {

// A run file of supervised fine-tuning with its defaults filled in; the fields' meanings stand in
// sft_spec.proto.
struct SftPlan {
  data::DataSpec data;
  std::string start_adapter;  // PEFT folder; empty: a fresh adapter
  sft::SftConfig trainer;     // without its step counts, which the data decide
  int gradient_accumulation_steps = 1;
  std::optional<double> epochs;
  std::optional<int> max_steps;
  std::optional<int> eval_every;
  std::optional<int> checkpoint_every;
  std::optional<int> warmup_steps;
  std::optional<double> warmup_ratio;

  // InvalidArgument naming field and value. Does not look at files.
  [[nodiscard]] absl::Status Validate() const;
  [[nodiscard]] int64_t pairs_per_step() const {
    return int64_t{trainer.batch_size} * gradient_accumulation_steps;
  }
};

// In optimizer steps.
struct SftLength {
  int64_t total_steps = 0;
  int64_t warmup_steps = 0;
  int64_t eval_every = 0;
  int64_t checkpoint_every = 0;
};

// InvalidArgument: the run would have no step, or too many.
[[nodiscard]] absl::StatusOr<SftLength> LengthOf(const SftPlan& plan, int64_t steps_per_epoch);

}  // namespace mellow::learner

#endif  // MELLOW_SERVICES_LEARNER_SFT_SFT_PLAN_H_
