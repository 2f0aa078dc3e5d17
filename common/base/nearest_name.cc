#include "common/base/nearest_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace mellow {
namespace {

// A longer name is nobody's typing error, and the table would grow with its square.
constexpr size_t kLongest = 64;

char Folded(char c) { return c == '-' ? '_' : absl::ascii_tolower(c); }

}  // namespace

int EditDistance(absl::string_view a, absl::string_view b) {
  // The distances of the prefixes of a that end here and at the two characters before, by the
  // length of b's.
  std::vector<int> now(b.size() + 1), before(b.size() + 1), earlier(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) now[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(earlier, before);
    std::swap(before, now);
    now[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool equal = Folded(a[i - 1]) == Folded(b[j - 1]);
      now[j] = std::min({before[j] + 1, now[j - 1] + 1, before[j - 1] + (equal ? 0 : 1)});
      if (i > 1 && j > 1 && Folded(a[i - 1]) == Folded(b[j - 2]) &&
          Folded(a[i - 2]) == Folded(b[j - 1]))
        now[j] = std::min(now[j], earlier[j - 2] + 1);
    }
  }
  return now[b.size()];
}

std::string NearestName(absl::string_view name, const std::vector<std::string>& known) {
  std::string nearest;
  if (name.size() > kLongest) return nearest;
  int least = std::max(1, static_cast<int>(name.size()) / 3) + 1;
  for (const std::string& other : known) {
    if (other.size() > kLongest) continue;
    const int distance = EditDistance(name, other);
    // What only shares its length with a short name is not near it.
    if (distance >= least || distance >= static_cast<int>(other.size())) continue;
    least = distance;
    nearest = other;
  }
  return nearest;
}

std::string DidYouMean(absl::string_view name, const std::vector<std::string>& known) {
  const std::string nearest = NearestName(name, known);
  return nearest.empty() ? "" : absl::StrCat(" (did you mean \"", nearest, "\"?)");
}

}  // namespace mellow
