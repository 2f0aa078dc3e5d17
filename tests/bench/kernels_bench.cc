// Matrix products of the shapes that T5 and RoBERTa run: GFLOP/s and GB/s of weights (of the
// fastest call) by rows, shape, format and threads.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "common/nn/kernels/packed_matrix.h"

namespace mellow::nn::kernels {
namespace {

// Enough copies of W to not find it in the cache, as in a decoder that streams all layers for every
// token.
constexpr size_t kWeightBytes = size_t{256} << 20;

void BM_MatMul(benchmark::State& state, PanelFormat format) {
  const int rows = static_cast<int>(state.range(0));
  const int in = static_cast<int>(state.range(1));
  const int out = static_cast<int>(state.range(2));
  ThreadPool pool(static_cast<int>(state.range(3)));
  const KernelTable& kernels = Kernels();
  std::vector<PackedMatrix> matrices;
  size_t bytes = 0;
  while (bytes < kWeightBytes) {
    matrices.emplace_back(
        kernels, out, in, format,
        [in](int64_t index, float* row) {
          for (int k = 0; k < in; ++k)
            row[k] = static_cast<float>((index * 31 + k * 17) % 64) / 64.0f - 0.5f;
        },
        &pool);
    bytes += matrices.back().bytes();
  }
  std::vector<float> x(static_cast<size_t>(rows) * in, 0.5f);
  std::vector<float> y(static_cast<size_t>(rows) * out);
  size_t next = 0;
  double best = 1e9;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    MatMul(kernels, &pool, matrices[next], {x.data(), in}, rows, {y.data(), out});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
    next = (next + 1) % matrices.size();
  }
  // The rate of the fastest call: on a shared machine the mean says more about the neighbors.
  state.counters["GFLOP/s"] = 2e-9 * rows * in * out / best;
  state.counters["GB/s"] = 1e-9 * static_cast<double>(matrices[0].bytes()) / best;
}

void Shapes(benchmark::internal::Benchmark* b) {
  for (int threads : {1, 2}) {
    for (int rows : {1, 2, 4, 8, 16, 32, 64, 256, 4096}) b->Args({rows, 768, 3072, threads});
    for (int rows : {1, 16, 4096}) b->Args({rows, 2048, 768, threads});
    for (int rows : {1, 16}) b->Args({rows, 768, 768, threads});
  }
  b->ArgNames({"rows", "in", "out", "threads"})->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(BM_MatMul, float32, PanelFormat::kFloat32)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_MatMul, bfloat16, PanelFormat::kBFloat16)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_MatMul, float16, PanelFormat::kFloat16)->Apply(Shapes);
BENCHMARK_CAPTURE(BM_MatMul, int8, PanelFormat::kInt8)->Apply(Shapes);

}  // namespace
}  // namespace mellow::nn::kernels

BENCHMARK_MAIN();
