#include "common/nn/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/common/nn/kernels/isa_names.h"

namespace mellow::nn::kernels {
namespace attention_test {

std::vector<float> Random(size_t count, int seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(count);
  for (float& v : values) v = normal(generator);
  return values;
}

struct Problem {
  int queries;
  int keys;
  int dim;
  bool causal;
  float scale;
  bool with_bias;
};

// What Attend promises, in double precision and without any blocking.
std::vector<double> Naive(const Problem& p, const std::vector<float>& q,
                          const std::vector<float>& k, const std::vector<float>& v,
                          const float* bias) {
  std::vector<double> out(static_cast<size_t>(p.queries) * p.dim);
  const int before = p.causal ? p.keys - p.queries : 0;
  for (int i = 0; i < p.queries; ++i) {
    const int seen = p.causal ? before + i + 1 : p.keys;
    std::vector<double> weights(seen);
    double sum = 0;
    for (int j = 0; j < seen; ++j) {
      double score = 0;
      for (int d = 0; d < p.dim; ++d) score += double{q[i * p.dim + d]} * k[j * p.dim + d];
      score = score * p.scale + (p.with_bias ? bias[j - (before + i)] : 0);
      weights[j] = std::exp(score);
      sum += weights[j];
    }
    for (int j = 0; j < seen; ++j) {
      for (int d = 0; d < p.dim; ++d) out[i * p.dim + d] += weights[j] / sum * v[j * p.dim + d];
    }
  }
  return out;
}

class AttentionTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    kernels_ = KernelsFor(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this CPU lacks the instruction set";
  }
  const KernelTable* kernels_ = nullptr;
};

TEST_P(AttentionTest, EqualsTheDefinition) {
  for (const Problem& p : std::vector<Problem>{{1, 1, 8, false, 1, false},
                                               {1, 70, 64, false, 1, true},
                                               {5, 64, 5, true, 1, true},
                                               {130, 130, 33, true, 0.2f, true},
                                               {200, 77, 64, false, 0.125f, false},
                                               {3, 65, 16, true, 1, false}}) {
    const size_t dim = p.dim;
    const std::vector<float> q = Random(p.queries * dim, 1);
    const std::vector<float> k = Random(p.keys * dim, 2);
    const std::vector<float> v = Random(p.keys * dim, 3);
    const std::vector<float> biases = Random(1000, 4);
    const float* bias = biases.data() + 500;
    std::vector<float> out(p.queries * dim);
    const KvLayout layout(*kernels_, p.dim);
    AttentionArgs args{.q = {q.data(), p.dim},
                       .queries = p.queries,
                       .keys = p.keys,
                       .causal = p.causal,
                       .scale = p.scale};
    args.bias = p.with_bias ? bias : nullptr;
    args.out = {out.data(), p.dim};
    AttendOnce(*kernels_, layout, {k.data(), p.dim}, {v.data(), p.dim}, args);
    const std::vector<double> expected = Naive(p, q, k, v, bias);
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], expected[i], 2e-5) << p.queries << "x" << p.keys << " at " << i;
  }
}

TEST_P(AttentionTest, DecodingOneByOneGivesTheBitsOfTheWholeTarget) {
  const int dim = 24;
  const int heads = 2;
  const int length = 150;
  const int stride = heads * dim;
  const KvLayout layout(*kernels_, dim);
  const std::vector<float> q = Random(length * stride, 1);
  const std::vector<float> k = Random(length * stride, 2);
  const std::vector<float> v = Random(length * stride, 3);
  const std::vector<float> biases = Random(400, 4);
  std::vector<float> whole(length * stride);
  std::vector<float> steps(length * stride);
  KvChunkPool pool(layout.head_floats() * heads);
  KvCache cache(&layout, &pool, /*layers=*/1, heads);
  for (int head = 0; head < heads; ++head) {
    AttentionArgs args{
        .q = {q.data() + head * dim, stride}, .queries = length, .keys = length, .causal = true};
    args.bias = biases.data() + 200;
    args.out = {whole.data() + head * dim, stride};
    AttendOnce(*kernels_, layout, {k.data() + head * dim, stride}, {v.data() + head * dim, stride},
               args);
  }
  for (int t = 0; t < length; ++t) {
    cache.Reserve(1);
    for (int head = 0; head < heads; ++head) {
      const int at = t * stride + head * dim;
      cache.Write(0, head, {k.data() + at, stride}, {v.data() + at, stride}, t, 1);
      AttentionArgs args{.q = {q.data() + at, stride}, .queries = 1, .keys = t + 1, .causal = true};
      args.bias = biases.data() + 200;
      args.out = {steps.data() + at, stride};
      Attend(*kernels_, layout, cache, 0, head, args);
    }
    cache.Advance(1);
  }
  EXPECT_EQ(std::memcmp(whole.data(), steps.data(), whole.size() * sizeof(float)), 0);
}

// Behind the last key, and behind the last dimension of a value, is what is multiplied and never
// looked at: were it subnormal, as any memory can be, each product would take a hundred times as
// long.
TEST_P(AttentionTest, WhatIsLeftOfAPanelIsZeros) {
  constexpr int kDim = 5, kKeys = 37;  // whole panels of no instruction set
  const KvLayout layout(*kernels_, kDim);
  const std::vector<float> k = Random(kKeys * kDim, 1), v = Random(kKeys * kDim, 2);
  const auto count_of = [&](float value, const std::vector<float>& chunk) {
    return std::count(chunk.begin(), chunk.end(), value);
  };
  constexpr float kSubnormal = 1e-40f;
  const int width = kernels_->panel_width;
  std::vector<float> chunk(layout.head_floats(), kSubnormal);
  layout.Write({k.data(), kDim}, {v.data(), kDim}, 0, kKeys, chunk.data());
  const int key_panels = (kKeys + width - 1) / width;
  EXPECT_EQ(count_of(kSubnormal, chunk), (KvLayout::kPositions - key_panels * width) * kDim +
                                             (KvLayout::kPositions - kKeys) * width);
  EXPECT_EQ(count_of(0.0f, chunk), (key_panels * width - kKeys) * kDim + kKeys * (width - kDim));

  for (const int step : {1, 6, 34}) {
    std::vector<float> in_steps(layout.head_floats(), kSubnormal);
    for (int i = 0; i < kKeys; i += step) {
      layout.Write({k.data() + i * kDim, kDim}, {v.data() + i * kDim, kDim}, i,
                   std::min(step, kKeys - i), in_steps.data());
    }
    EXPECT_EQ(in_steps, chunk) << step;
  }
  std::vector<float> copy(layout.head_floats(), kSubnormal);
  layout.Copy(chunk.data(), kKeys, copy.data());
  EXPECT_EQ(copy, chunk);
}

TEST_P(AttentionTest, ACopyOfACacheGoesItsOwnWay) {
  const int dim = 8;
  const KvLayout layout(*kernels_, dim);
  KvChunkPool pool(layout.head_floats());
  const std::vector<float> q = Random(dim, 1);
  const std::vector<float> common = Random(100 * dim, 2);
  const auto append = [&](KvCache* cache, const float* rows, int count) {
    cache->Reserve(count);
    cache->Write(0, 0, {rows, dim}, {rows, dim}, cache->size(), count);
    cache->Advance(count);
  };
  const auto attend = [&](const KvCache& cache) {
    std::vector<float> out(dim);
    Attend(*kernels_, layout, cache, 0, 0,
           {.q = {q.data(), 0}, .queries = 1, .keys = cache.size(), .out = {out.data(), 0}});
    return out;
  };
  for (int length : {10, 64, 100}) {
    KvCache first(&layout, &pool, 1, 1);
    append(&first, common.data(), length);
    KvCache second = first;
    const std::vector<float> a = Random(dim, 3);
    const std::vector<float> b = Random(dim, 4);
    append(&first, a.data(), 1);
    append(&second, b.data(), 1);
    KvCache alone(&layout, &pool, 1, 1);
    append(&alone, common.data(), length);
    append(&alone, a.data(), 1);
    EXPECT_EQ(attend(first), attend(alone)) << length;
    EXPECT_NE(attend(first), attend(second)) << length;
  }
}

INSTANTIATE_TEST_SUITE_P(All, AttentionTest, ::testing::ValuesIn(kEveryIsa), IsaName);

}  // namespace attention_test
}  // namespace mellow::nn::kernels
