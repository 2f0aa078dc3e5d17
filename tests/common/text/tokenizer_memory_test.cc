// How much memory a text takes while it is tokenized: a request is not to cost many times its size.

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "common/text/load_tokenizer.h"
#include "tests/testing/source_tree.h"

namespace {

// Counts in the thread that measures alone.
thread_local int64_t live = 0;
thread_local int64_t peak = 0;

}  // namespace

// Not inlined: GCC would take malloc and delete for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  void* const block = std::malloc(bytes);
  if (block == nullptr) return nullptr;
  live += static_cast<int64_t>(malloc_usable_size(block));
  peak = std::max(peak, live);
  return block;
}
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* const block = operator new(bytes, std::nothrow);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
  live -= static_cast<int64_t>(malloc_usable_size(block));
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

namespace mellow::text {
namespace {

std::string Repeat(absl::string_view part, size_t bytes) {
  std::string text;
  text.reserve(bytes + part.size());
  while (text.size() < bytes) text.append(part.data(), part.size());
  return text;
}

struct Kind {
  const char* name;
  const char* part;
};
constexpr Kind kKinds[] = {{"words", "#Person1#: how are you today? "},
                           {"one word", "abcdefghij"},
                           {"one letter", "a"},
                           {"spaces", " "},
                           {"special tokens", "</s>"},
                           {"accents", "e\u0301"},
                           {"ligatures that grow when they are normalized", "\ufdfa"},
                           {"emoji", "\U0001f600"}};

class TokenizerMemoryTest : public ::testing::TestWithParam<const char*> {
 protected:
  // Peak of the memory that Encode takes, beyond the text itself, in bytes per byte of text.
  double Measure(const std::string& text, int max_tokens) {
    const int64_t before = live;
    peak = live;
    EXPECT_TRUE(tokenizer_->Encode(text, max_tokens).ok());
    return static_cast<double>(peak - before) / static_cast<double>(text.size());
  }
  std::unique_ptr<Tokenizer> tokenizer_ = *LoadTokenizer(SourceTree(GetParam()));
};

TEST_P(TokenizerMemoryTest, GrowsWithTheTextAndNoFaster) {
  for (const Kind& kind : kKinds) {
    for (const int max_tokens : {0, 512}) {
      const double small = Measure(Repeat(kind.part, 1 << 16), max_tokens);
      const double large = Measure(Repeat(kind.part, 1 << 20), max_tokens);
      EXPECT_LT(small, 36) << kind.name << ", max_tokens " << max_tokens;
      EXPECT_LT(large, 36) << kind.name << ", max_tokens " << max_tokens;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shipped, TokenizerMemoryTest,
                         ::testing::Values("/deploy/models/mini-summarizer",
                                           "/deploy/models/mini-toxicity"));

}  // namespace
}  // namespace mellow::text
