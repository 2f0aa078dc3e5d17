#include "common/nn/generation/token_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "common/base/philox.h"
#include "common/nn/generation/logits_processors.h"

namespace mellow::nn {
namespace token_sampler_test {

constexpr int32_t kEos = 1;

// After `position` tokens, which do not matter here.
SampledToken SampleToken(absl::Span<const float> logits, const SamplingParams& params, int32_t eos,
                         int position, const RandomStream& stream) {
  T5Config config;
  config.vocab_size = static_cast<int>(logits.size());
  config.eos_token_ids = {eos};
  if (eos >= config.vocab_size) config.eos_token_ids.clear();
  std::vector<float> scores(logits.begin(), logits.end());
  const std::vector<int32_t> generated(static_cast<size_t>(position), 0);
  const LogitsProcessors processors(config, params, {});
  if (processors.Active(generated.size())) {
    EXPECT_TRUE(processors.Apply(generated, absl::MakeSpan(scores)));
  }
  return nn::SampleToken(logits, scores, params, position, stream);
}

// Logits between -4 and 4; the same number gives the same logits.
std::vector<float> RandomLogits(int n, uint32_t number) {
  std::vector<float> x;
  for (int i = 0; i < n; ++i) {
    x.push_back(static_cast<float>(
        8 * PhiloxUniform({static_cast<uint32_t>(i), number, 0, 0}, {9, 9}) - 4));
  }
  return x;
}

std::vector<double> Softmax(const std::vector<double>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double sum = 0;
  for (double x : logits) sum += p.emplace_back(std::exp(x - top));
  for (double& x : p) x /= sum;
  return p;
}

// What transformers' warpers leave of a distribution, in double precision and by sorting
// everything.
std::vector<double> Warped(const std::vector<float>& logits, const SamplingParams& params,
                           int position) {
  std::vector<double> x(logits.begin(), logits.end());
  if (position < params.min_new_tokens) x[kEos] = -INFINITY;
  for (double& v : x) v /= params.temperature;
  if (params.top_k > 0 && params.top_k < static_cast<int>(x.size())) {
    std::vector<double> sorted = x;
    std::sort(sorted.rbegin(), sorted.rend());
    for (double& v : x)
      if (v < sorted[params.top_k - 1]) v = -INFINITY;
  }
  // top-p: the smallest set of most likely tokens whose probability reaches p.
  const std::vector<double> p = Softmax(x);
  std::vector<int> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });
  double before = 0;
  for (int i : order) {
    if (before >= params.top_p) x[i] = -INFINITY;
    before += p[i];
  }
  return Softmax(x);
}

struct Case {
  const char* name;
  SamplingParams params;
};

class WarpedSamplingTest : public ::testing::TestWithParam<Case> {};

// Every draw is the inverse of the brute-force cumulative distribution at Philox's number.
TEST_P(WarpedSamplingTest, EveryDrawInvertsTheCumulativeDistribution) {
  const SamplingParams& params = GetParam().params;
  constexpr int kTokens = 37;
  int compared = 0;
  for (uint32_t number = 0; number < 200; ++number) {
    const std::vector<float> logits = RandomLogits(kTokens, number);
    const int position = static_cast<int>(number % 7);
    const RandomStream stream{.prompt_index = (uint64_t{number} << 30) + 5, .sample_index = 3};
    const std::vector<double> p = Warped(logits, params, position);
    const double u = PhiloxUniform(
        {static_cast<uint32_t>(position), stream.sample_index,
         static_cast<uint32_t>(stream.prompt_index),
         static_cast<uint32_t>(stream.prompt_index >> 32)},
        {static_cast<uint32_t>(params.seed), static_cast<uint32_t>(params.seed >> 32)});
    int expected = -1;
    double sum = 0;
    bool near_a_border = false;  // within fp32 rounding either side is right
    for (int i = 0; i < kTokens; ++i) {
      sum += p[i];
      if (expected < 0 && sum > u) expected = i;
      near_a_border = near_a_border || std::abs(sum - u) < 1e-6;
    }
    if (near_a_border) continue;
    ++compared;
    const SampledToken token = SampleToken(logits, params, kEos, position, stream);
    EXPECT_EQ(token.id, expected) << "logits " << number << ", uniform " << u;
  }
  EXPECT_GT(compared, 190);
}

// Pearson's chi-square over 20,000 draws. The bound is the 99.99 % quantile by the approximation of
// Wilson and Hilferty; the seed is fixed, so the test always draws the same.
TEST_P(WarpedSamplingTest, FrequenciesFitTheDistribution) {
  const SamplingParams& params = GetParam().params;
  constexpr int kTokens = 12;
  constexpr int kDraws = 20000;
  const std::vector<float> logits = RandomLogits(kTokens, 1000);
  const std::vector<double> p = Warped(logits, params, /*position=*/0);
  std::vector<int> counts(kTokens);
  for (int i = 0; i < kDraws; ++i) {
    const RandomStream stream{.prompt_index = static_cast<uint64_t>(i)};
    ++counts[SampleToken(logits, params, kEos, 0, stream).id];
  }
  double chi2 = 0;
  int cells = 0;
  for (int i = 0; i < kTokens; ++i) {
    if (p[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i << " is excluded";
      continue;
    }
    ++cells;
    const double expected = p[i] * kDraws;
    chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  ASSERT_GE(cells, 2);
  const double degrees = cells - 1;
  const double spread = 2 / (9 * degrees);
  EXPECT_LT(chi2, degrees * std::pow(1 - spread + 3.719 * std::sqrt(spread), 3));
}

TEST_P(WarpedSamplingTest, LogProbIsThatOfTheRawDistribution) {
  for (uint32_t number = 0; number < 20; ++number) {
    const std::vector<float> logits = RandomLogits(50, number);
    const std::vector<double> raw = Softmax({logits.begin(), logits.end()});
    const SampledToken token = SampleToken(logits, GetParam().params, kEos, 0, {});
    EXPECT_NEAR(token.logprob, std::log(raw[token.id]), 1e-5);  // fp32 logits of size 4
  }
}

INSTANTIATE_TEST_SUITE_P(
    Warpers, WarpedSamplingTest,
    ::testing::Values(Case{"Plain", {.do_sample = true, .seed = 1}},
                      Case{"Hot", {.do_sample = true, .temperature = 2.5, .seed = 2}},
                      Case{"Cold", {.do_sample = true, .temperature = 0.6, .seed = 3}},
                      Case{"TopK", {.do_sample = true, .top_k = 5, .seed = 4}},
                      Case{"TopKAboveVocabulary", {.do_sample = true, .top_k = 1000, .seed = 5}},
                      Case{"TopP", {.do_sample = true, .top_p = 0.8, .seed = 6}},
                      Case{"MinTokens", {.do_sample = true, .min_new_tokens = 4, .seed = 7}},
                      Case{"All",
                           {.do_sample = true,
                            .temperature = 1.7,
                            .top_k = 8,
                            .top_p = 0.9,
                            .min_new_tokens = 4,
                            .seed = uint64_t{8} << 32 | 8}}),
    [](const auto& info) { return info.param.name; });

TEST(TokenSamplerTest, GreedyTakesTheLargestAndTheLowestIdAmongEquals) {
  EXPECT_EQ(SampleToken({1, 3, 2, 3}, {}, kEos, 0, {}).id, 1);
  EXPECT_EQ(SampleToken({1, 0, 2, 2}, {}, kEos, 0, {}).id, 2);
  EXPECT_EQ(SampleToken({5}, {}, kEos, 0, {}).id, 0);
}

TEST(TokenSamplerTest, MinTokensForbidEosUntilReached) {
  const std::vector<float> logits = {1, 9, 2, 0};
  const SamplingParams greedy{.min_new_tokens = 2};
  EXPECT_EQ(SampleToken(logits, greedy, kEos, 0, {}).id, 2);
  EXPECT_EQ(SampleToken(logits, greedy, kEos, 1, {}).id, 2);
  EXPECT_EQ(SampleToken(logits, greedy, kEos, 2, {}).id, kEos);
  const SamplingParams sampling{.do_sample = true, .min_new_tokens = 1};
  for (uint64_t i = 0; i < 200; ++i)
    EXPECT_NE(SampleToken(logits, sampling, kEos, 0, {.prompt_index = i}).id, kEos);
}

TEST(TokenSamplerTest, TopKKeepsWhatTiesWithTheLast) {
  const std::vector<float> logits = {2, 0, 1, 1, 1, -1};
  const SamplingParams params{.do_sample = true, .top_k = 2};
  std::set<int32_t> seen;
  for (uint64_t i = 0; i < 500; ++i)
    seen.insert(SampleToken(logits, params, kEos, 0, {.prompt_index = i}).id);
  EXPECT_THAT(seen, ::testing::ElementsAre(0, 2, 3, 4));
}

TEST(TokenSamplerTest, TopKOfOneIsGreedy) {
  const SamplingParams params{.do_sample = true, .top_k = 1};
  for (uint32_t number = 0; number < 50; ++number) {
    const std::vector<float> logits = RandomLogits(40, number);
    EXPECT_EQ(SampleToken(logits, params, kEos, 0, {.prompt_index = number}).id,
              SampleToken(logits, {}, kEos, 0, {}).id);
  }
}

TEST(TokenSamplerTest, TopPAlwaysKeepsTheMostLikely) {
  const SamplingParams params{.do_sample = true, .top_p = 1e-12};
  for (uint64_t i = 0; i < 50; ++i)
    EXPECT_EQ(SampleToken({0, 1, 4, 3}, params, kEos, 0, {.prompt_index = i}).id, 2);
}

TEST(TokenSamplerTest, ImpossibleTokensAreNeverDrawn) {
  const std::vector<float> logits = {-INFINITY, 0, -INFINITY, 0, -INFINITY};
  const SamplingParams params{.do_sample = true};
  for (uint64_t i = 0; i < 200; ++i) {
    const int32_t id = SampleToken(logits, params, kEos, 0, {.prompt_index = i}).id;
    EXPECT_TRUE(id == 1 || id == 3) << id;
  }
}

// At whatever temperature that is a number the answer is what greedy search gives, when nothing
// ties.
TEST(TokenSamplerTest, TinyTemperaturesAreGreedy) {
  for (const double temperature : {1e-7, 1e-30, 1e-39, 1e-300, 5e-324}) {
    const SamplingParams params{.do_sample = true, .temperature = temperature};
    for (uint32_t number = 0; number < 50; ++number) {
      std::vector<float> logits = RandomLogits(40, number);
      if (number % 2 == 0)
        for (float& x : logits) x -= 50;  // all negative
      EXPECT_EQ(SampleToken(logits, params, kEos, 0, {.prompt_index = number}).id,
                SampleToken(logits, {}, kEos, 0, {}).id)
          << temperature;
    }
    std::set<int32_t> seen;
    for (uint64_t i = 0; i < 100; ++i)
      seen.insert(SampleToken({2, 5, 1, 5}, params, kEos, 0, {.prompt_index = i}).id);
    EXPECT_THAT(seen, ::testing::ElementsAre(1, 3)) << "equal logits stay equally likely";
  }
}

// One uniform for each (seed, prompt, sample, position), whatever else was drawn before.
TEST(TokenSamplerTest, EachPartOfTheCounterDrawsAnew) {
  const std::vector<float> flat(64, 0.0f);
  const auto draws = [&](auto change) {
    std::vector<int32_t> ids;
    for (uint32_t i = 0; i < 64; ++i) {
      SamplingParams params{.do_sample = true, .seed = 11};
      RandomStream stream{.prompt_index = 5, .sample_index = 7};
      int position = 3;
      change(i, params, stream, position);
      ids.push_back(SampleToken(flat, params, kEos, position, stream).id);
    }
    return ids;
  };
  const std::vector<std::vector<int32_t>> sequences = {
      draws([](uint32_t i, auto& params, auto&, auto&) { params.seed += i; }),
      draws([](uint32_t i, auto& params, auto&, auto&) { params.seed += uint64_t{i} << 32; }),
      draws([](uint32_t i, auto&, auto& stream, auto&) { stream.prompt_index += i; }),
      draws(
          [](uint32_t i, auto&, auto& stream, auto&) { stream.prompt_index += uint64_t{i} << 32; }),
      draws([](uint32_t i, auto&, auto& stream, auto&) { stream.sample_index += i; }),
      draws([](uint32_t i, auto&, auto&, auto& position) { position += static_cast<int>(i); }),
  };
  for (size_t a = 0; a < sequences.size(); ++a) {
    // 64 draws of 64 values: about 40 different ones.
    const std::set<int32_t> distinct(sequences[a].begin(), sequences[a].end());
    EXPECT_GT(distinct.size(), 28u) << "part " << a;
    EXPECT_EQ(sequences[a][0], sequences[0][0]) << "the unchanged counter, part " << a;
    for (size_t b = 0; b < a; ++b) {
      int equal = 0;
      for (size_t i = 1; i < 64; ++i) equal += sequences[a][i] == sequences[b][i];
      EXPECT_LT(equal, 8) << "parts " << a << " and " << b;  // by chance: about 1
    }
  }
}

// Neighbors in position, sample and prompt are independent: chi-square of the 8 x 8 table of
// pairs.
TEST(TokenSamplerTest, NeighboringCountersAreIndependent) {
  const std::vector<float> flat(8, 0.0f);
  const SamplingParams params{.do_sample = true, .seed = 21};
  constexpr int kPairs = 12800;
  for (int part = 0; part < 3; ++part) {
    std::vector<int> table(64);
    for (uint32_t i = 0; i < kPairs; ++i) {
      const RandomStream one{.prompt_index = 2 * i, .sample_index = 0};
      RandomStream other = one;
      int position = 0;
      if (part == 0) position = 1;
      if (part == 1) other.sample_index = 1;
      if (part == 2) other.prompt_index += 1;
      const int32_t a = SampleToken(flat, params, kEos, 0, one).id;
      const int32_t b = SampleToken(flat, params, kEos, position, other).id;
      ++table[static_cast<size_t>(a * 8 + b)];
    }
    double chi2 = 0;
    const double expected = kPairs / 64.0;
    for (int count : table) chi2 += (count - expected) * (count - expected) / expected;
    EXPECT_LT(chi2, 113.5) << "part " << part;  // 99.99 % quantile with 63 degrees of freedom
  }
}

TEST(TokenSamplerTest, TheSameArgumentsDrawTheSame) {
  const std::vector<float> logits = RandomLogits(100, 1);
  const SamplingParams params{.do_sample = true, .temperature = 3, .top_p = 0.95, .seed = 4};
  const SampledToken first = SampleToken(logits, params, kEos, 2, {.prompt_index = 6});
  for (int i = 0; i < 10; ++i) {
    (void)SampleToken(logits, params, kEos, i, {.prompt_index = 1});
    const SampledToken again = SampleToken(logits, params, kEos, 2, {.prompt_index = 6});
    EXPECT_EQ(again.id, first.id);
    EXPECT_EQ(again.logprob, first.logprob);
  }
}

}  // namespace token_sampler_test
}  // namespace mellow::nn
