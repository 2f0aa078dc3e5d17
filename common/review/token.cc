#include "common/review/token.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/escaping.h"
#include "common/base/sha256.h"

namespace mellow::review {
namespace {

constexpr size_t kTokenBytes = 16;

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  size_t done = 0;
  while (done < count) {
    const ssize_t n = getrandom(bytes.data() + done, count - done, 0);
    // Fails only on a kernel without the call; a guessable token would be worse than no program.
    if (n < 0 && errno != EINTR) std::abort();
    done += n > 0 ? static_cast<size_t>(n) : 0;
  }
  return bytes;
}

}  // namespace

std::string NewToken() { return absl::BytesToHexString(RandomBytes(kTokenBytes)); }

bool LooksLikeToken(absl::string_view text) {
  return text.size() == 2 * kTokenBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string TokenHash(absl::string_view token) { return Sha256Hex(token); }

bool EqualInConstantTime(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference = difference | static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

uint64_t RandomSeed() {
  uint64_t seed = 0;
  std::memcpy(&seed, RandomBytes(sizeof(seed)).data(), sizeof(seed));
  return seed;
}

}  // namespace mellow::review
