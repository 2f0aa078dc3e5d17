#include "common/base/plural.h"

#include "absl/strings/str_cat.h"

namespace mellow {

std::string Grouped(int64_t number) {
  std::string digits = absl::StrCat(number);
  const int first = number < 0 ? 1 : 0;
  for (int i = static_cast<int>(digits.size()) - 3; i > first; i -= 3)
    digits.insert(static_cast<size_t>(i), ",");
  return digits;
}

std::string Plural(int64_t number, absl::string_view noun, absl::string_view many) {
  if (number != 1 && many.empty()) return absl::StrCat(Grouped(number), " ", noun, "s");
  return absl::StrCat(Grouped(number), " ", number == 1 ? noun : many);
}

}  // namespace mellow
