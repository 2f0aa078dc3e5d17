#include "services/policy/warm_up.h"

#include <chrono>

#include "common/base/status.h"
#include "common/nn/generation/generate.h"

namespace mellow::policy {

absl::StatusOr<double> WarmUp(nn::Seq2SeqModel& model) {
  constexpr int kRows = 8;
  constexpr int kTokens = 8;
  nn::GenerateItem item;
  for (int i = 0; i < 32; ++i) item.source_ids.push_back((3 + i * 7) % model.config().vocab_size);
  item.params.max_new_tokens = kTokens;
  item.params.min_new_tokens = kTokens;
  const std::vector<nn::GenerateItem> items(kRows, item);
  MELLOW_RETURN_IF_ERROR(nn::Generate(model, items).status());  // first touch
  const auto start = std::chrono::steady_clock::now();
  MELLOW_RETURN_IF_ERROR(nn::Generate(model, items).status());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return kRows * kTokens / std::max(seconds, 1e-9);
}

}  // namespace mellow::policy
