#ifndef MELLOW_COMMON_SFT_LINEAR_SCHEDULE_H_
#define MELLOW_COMMON_SFT_LINEAR_SCHEDULE_H_

#include <cstdint>

namespace mellow::sft {

// The learning rate of optimizer step `step`, from 0: transformers'
// get_linear_schedule_with_warmup, which rises from 0 (so that with a warm-up the first step moves
// nothing) to `peak` at step `warmup_steps` and falls to 0 at `total_steps`:
//   peak step / warmup                       while step < warmup
//   peak (total - step) / (total - warmup)   afterwards, not below 0
[[nodiscard]] double LinearSchedule(double peak, int64_t warmup_steps, int64_t total_steps,
                                    int64_t step);

}  // namespace mellow::sft

#endif  // MELLOW_COMMON_SFT_LINEAR_SCHEDULE_H_
