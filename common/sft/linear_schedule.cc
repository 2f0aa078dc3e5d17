#include "common/sft/linear_schedule.h"

#include <algorithm>

namespace mellow::sft {

double LinearSchedule(double peak, int64_t warmup_steps, int64_t total_steps, int64_t step) {
  const auto ratio = [](int64_t part, int64_t whole) {
    return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
  };
  if (step < warmup_steps) return peak * ratio(step, warmup_steps);
  return peak * std::max(0.0, ratio(total_steps - step, total_steps - warmup_steps));
}

}  // namespace mellow::sft
