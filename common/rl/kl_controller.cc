#include "common/rl/kl_controller.h"

#include <algorithm>
#include <cmath>

namespace mellow::rl {

void KlController::Update(double kl, int64_t samples) {
  if (!adaptive_ || !std::isfinite(kl)) return;
  const double error = std::clamp(kl / target_ - 1.0, -0.2, 0.2);
  value_ *= 1.0 + error * static_cast<double>(samples) / horizon_;
}

}  // namespace mellow::rl
