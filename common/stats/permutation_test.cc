#include "common/stats/permutation_test.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"

namespace mellow::stats {
namespace {

// Keeps these numbers apart from the bootstrap's, which may have the same seed.
constexpr uint32_t kStream = 0x7065726d;

// Sums of one set in another order differ by rounding; they count as equal.
constexpr double kRelativeRounding = 1e-12;

class SignedSums {
 public:
  explicit SignedSums(absl::Span<const double> differences) : differences_(differences) {
    double sum = 0;
    double size = 0;
    for (const double d : differences) {
      sum += d;
      size += std::fabs(d);
    }
    least_ = std::fabs(sum) - kRelativeRounding * size;
  }

  // `negative(i)`: the sign of difference i.
  template <typename Negative>
  bool AsExtreme(const Negative& negative) const {
    double sum = 0;
    for (size_t i = 0; i < differences_.size(); ++i)
      sum += negative(i) ? -differences_[i] : differences_[i];
    return std::fabs(sum) >= least_;
  }

 private:
  absl::Span<const double> differences_;
  double least_ = 0;
};

double ExactPValue(const SignedSums& sums, size_t n) {
  const uint64_t all = uint64_t{1} << n;
  uint64_t extreme = 0;
  for (uint64_t signs = 0; signs < all; ++signs)
    extreme += sums.AsExtreme([signs](size_t i) { return (signs >> i & 1) != 0; });
  return static_cast<double>(extreme) / static_cast<double>(all);
}

double SampledPValue(const SignedSums& sums, size_t n, const PermutationOptions& options) {
  const PhiloxKey key = {static_cast<uint32_t>(options.seed),
                         static_cast<uint32_t>(options.seed >> 32)};
  const auto words = static_cast<uint32_t>((n + 31) / 32);
  std::vector<uint32_t> signs(words + 3);
  int extreme = 0;
  for (int r = 0; r < options.permutations; ++r) {
    for (uint32_t w = 0; w < words; w += 4) {
      const PhiloxCounter out = Philox4x32({w / 4, static_cast<uint32_t>(r), 0, kStream}, key);
      std::copy(out.begin(), out.end(), signs.begin() + w);
    }
    extreme += sums.AsExtreme([&signs](size_t i) { return (signs[i / 32] >> (i % 32) & 1) != 0; });
  }
  return (1.0 + extreme) / (1.0 + options.permutations);
}

}  // namespace

absl::StatusOr<double> PairedPermutationTest(absl::Span<const double> differences,
                                             const PermutationOptions& options) {
  if (differences.empty()) return absl::InvalidArgumentError("permutation test of no pairs");
  if (options.permutations < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("permutations is ", options.permutations, ", must be at least 1"));
  for (size_t i = 0; i < differences.size(); ++i) {
    if (!std::isfinite(differences[i]))
      return absl::InvalidArgumentError(absl::StrCat("pair ", i, " is not finite"));
  }
  const SignedSums sums(differences);
  const size_t n = differences.size();
  const bool enumerable =
      n < 31 && (uint64_t{1} << n) <= static_cast<uint64_t>(options.permutations);
  return enumerable ? ExactPValue(sums, n) : SampledPValue(sums, n, options);
}

}  // namespace mellow::stats
