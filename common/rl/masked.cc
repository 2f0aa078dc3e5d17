#include "common/rl/masked.h"

#include <cmath>

namespace mellow::rl {

MaskRows ResponseMask(absl::Span<const int64_t> lengths, bool skip_first_token) {
  MaskRows mask;
  mask.reserve(lengths.size());
  for (const int64_t length : lengths) {
    mask.emplace_back(static_cast<size_t>(length), uint8_t{1});
    if (skip_first_token && length > 0) mask.back()[0] = 0;
  }
  return mask;
}

int64_t CountMask(const MaskRows& mask) {
  int64_t count = 0;
  for (const auto& row : mask) {
    for (const uint8_t counted : row) count += counted;
  }
  return count;
}

double MaskedSum(const MaskRows& mask, const std::function<double(size_t row, size_t t)>& term) {
  double sum = 0;
  for (size_t i = 0; i < mask.size(); ++i) {
    for (size_t t = 0; t < mask[i].size(); ++t) {
      if (mask[i][t] != 0) sum += term(i, t);
    }
  }
  return sum;
}

double MaskedMean(const MaskRows& mask, const std::function<double(size_t row, size_t t)>& term) {
  const int64_t count = CountMask(mask);
  return count == 0 ? 0.0 : MaskedSum(mask, term) / static_cast<double>(count);
}

double MaskedMean(const Rows& x, const MaskRows& mask) {
  return MaskedMean(mask, [&](size_t i, size_t t) { return x[i][t]; });
}

double MaskedVariance(const Rows& x, const MaskRows& mask) {
  const int64_t count = CountMask(mask);
  if (count < 2) return 0;
  const double mean = MaskedMean(x, mask);
  const double squares = MaskedSum(mask, [&](size_t i, size_t t) {
    const double centered = x[i][t] - mean;
    return centered * centered;
  });
  return squares / static_cast<double>(count - 1);
}

Rows Whiten(const Rows& x, const MaskRows& mask, bool keep_mean) {
  const double mean = MaskedMean(x, mask);
  const double scale = CountMask(mask) < 2 ? 1.0 : 1.0 / std::sqrt(MaskedVariance(x, mask) + 1e-8);
  Rows y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i].assign(x[i].size(), 0.0f);
    for (size_t t = 0; t < x[i].size(); ++t) {
      if (mask[i][t] == 0) continue;
      y[i][t] = static_cast<float>((x[i][t] - mean) * scale + (keep_mean ? mean : 0.0));
    }
  }
  return y;
}

}  // namespace mellow::rl
