#include "common/stats/krippendorff.h"

#include <cstddef>
#include <map>

namespace mellow::stats {
namespace {

// The values that occur in units of two or more, in increasing order, each with its place.
std::map<int, size_t> PlacesOfValues(absl::Span<const std::vector<int>> units) {
  std::map<int, size_t> places;
  for (const std::vector<int>& unit : units) {
    if (unit.size() < 2) continue;
    for (const int value : unit) places.emplace(value, 0);
  }
  size_t next = 0;
  for (auto& [value, place] : places) place = next++;
  return places;
}

double SquaredDistance(const std::vector<double>& counts, size_t low, size_t high,
                       AlphaLevel level) {
  if (level == AlphaLevel::kNominal) return 1;
  double between = 0;
  for (size_t g = low; g <= high; ++g) between += counts[g];
  between -= (counts[low] + counts[high]) / 2;
  return between * between;
}

}  // namespace

absl::StatusOr<double> KrippendorffAlpha(absl::Span<const std::vector<int>> units,
                                         AlphaLevel level) {
  const std::map<int, size_t> places = PlacesOfValues(units);
  const size_t v = places.size();
  if (v == 0)
    return absl::FailedPreconditionError("alpha is not defined: nothing was rated by two people");
  if (v == 1)
    return absl::FailedPreconditionError("alpha is not defined: all ratings are the same");
  std::vector<double> coincidences(v * v);
  for (const std::vector<int>& unit : units) {
    if (unit.size() < 2) continue;
    const double weight = 1.0 / static_cast<double>(unit.size() - 1);
    for (size_t i = 0; i < unit.size(); ++i) {
      for (size_t j = 0; j < unit.size(); ++j) {
        if (i != j) coincidences[places.at(unit[i]) * v + places.at(unit[j])] += weight;
      }
    }
  }
  std::vector<double> counts(v);
  double n = 0;
  for (size_t c = 0; c < v; ++c) {
    for (size_t k = 0; k < v; ++k) counts[c] += coincidences[c * v + k];
    n += counts[c];
  }
  double observed = 0;
  double expected = 0;
  for (size_t c = 0; c < v; ++c) {
    for (size_t k = c + 1; k < v; ++k) {
      const double distance = SquaredDistance(counts, c, k, level);
      observed += coincidences[c * v + k] * distance;
      expected += counts[c] * counts[k] * distance;
    }
  }
  return 1 - (n - 1) * observed / expected;
}

}  // namespace mellow::stats
