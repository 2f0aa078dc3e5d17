#include "common/text/files/tokenizer_number.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace mellow::text {
namespace {

// Correctly rounded, as a literal is.
double PowerOfTen(int exponent) {
  double value = 0;
  return absl::SimpleAtod(absl::StrCat("1e", exponent), &value) ? value : HUGE_VAL;
}

}  // namespace

// As serde_json does without its feature float_roundtrip: as many digits as 64 bits hold, times or
// through a power of ten, each step rounded to double.
double TokenizerNumber(absl::string_view text) {
  uint64_t digits = 0;
  int exponent = 0;
  bool fraction = false, full = false;
  size_t pos = text.front() == '-' ? 1 : 0;
  for (; pos < text.size() && text[pos] != 'e' && text[pos] != 'E'; ++pos) {
    if (text[pos] == '.') {
      fraction = true;
      continue;
    }
    const uint64_t digit = static_cast<uint64_t>(text[pos] - '0');
    full = full || digits > (UINT64_MAX - digit) / 10;
    if (!full) digits = digits * 10 + digit;
    exponent += full ? (fraction ? 0 : 1) : (fraction ? -1 : 0);
  }
  if (pos < text.size()) {
    int written = 0;
    const bool negative = text[++pos] == '-';
    if (negative || text[pos] == '+') ++pos;
    for (; pos < text.size() && written < 100000; ++pos) written = written * 10 + (text[pos] - '0');
    exponent += negative ? -written : written;
  }
  double value = static_cast<double>(digits);
  for (; exponent < -308 && value != 0; exponent += 308) value /= 1e308;
  if (exponent < 0) value /= PowerOfTen(-std::max(exponent, -308));
  if (exponent > 0) value *= PowerOfTen(exponent);
  return text.front() == '-' ? -value : value;
}

}  // namespace mellow::text
