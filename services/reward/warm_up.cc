#include "services/reward/warm_up.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "common/base/status.h"
#include "common/nn/weights/finite.h"

namespace mellow::reward {

absl::StatusOr<double> WarmUp(nn::SequenceClassifier& model) {
  const std::vector<std::vector<int32_t>> texts(
      8, std::vector<int32_t>(std::min(32, model.config().max_tokens()), 3));
  MELLOW_ASSIGN_OR_RETURN(const auto logits, model.Classify(texts));
  MELLOW_RETURN_IF_ERROR(nn::CheckComputed(logits, "logits"));
  const auto start = std::chrono::steady_clock::now();
  MELLOW_RETURN_IF_ERROR(model.Classify(texts).status());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return static_cast<double>(texts.size() * texts[0].size()) / std::max(seconds, 1e-9);
}

}  // namespace mellow::reward
