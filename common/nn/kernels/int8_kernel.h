// The product of int8 rows with int8 panels. Included by the kernels_*.cc files only, after
// gemm_kernel.h.
//
// Sums are integers: exact, in any order. What is rounded is rounded once for each element, by row
// and then by column.
#ifndef MELLOW_COMMON_NN_KERNELS_INT8_KERNEL_H_
#define MELLOW_COMMON_NN_KERNELS_INT8_KERNEL_H_

#include <cstring>

#include "common/nn/kernels/gemm_kernel.h"
#include "common/nn/kernels/kernel_table.h"
#include "common/nn/kernels/tile_output.h"

namespace mellow::nn::kernels {
namespace {

float QuantizeRow(const float* x, int n, int8_t* q) {
  // Magnitudes are compared as bits: a NaN is the largest of all and does not get lost.
  int32_t largest_bits = 0;
  for (int i = 0; i < n; ++i) {
    int32_t bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    bits &= 0x7fffffff;
    largest_bits = bits > largest_bits ? bits : largest_bits;
  }
  float largest;
  std::memcpy(&largest, &largest_bits, sizeof(largest));
  const bool finite = largest_bits < 0x7f800000;
  if (!finite || largest < 0x1p-100f) {  // the inverse of a smaller one can be infinite
    std::memset(q, 0, n);
    return finite ? 0.0f : __builtin_nanf("");
  }
  const float inverse = 127.0f / largest;
  for (int i = 0; i < n; ++i) {
    // The sum has no room for a fraction: its last byte is the nearest integer, ties to even.
    const float shifted = x[i] * inverse + 12582912.0f;  // 1.5 * 2^23
    int32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    q[i] = static_cast<int8_t>(bits);
  }
  return largest / 127.0f;
}

template <int R>
__attribute__((noinline)) void Int8Tile(const GemmArgs& args, int first_row, int first_panel,
                                        Ahead ahead) {
  const int column = first_panel * kPanelWidth;
  const auto* panel = static_cast<const int8_t*>(args.panels) + first_panel * args.panel_bytes;
  const int8_t* const x = args.a_int8 + first_row * args.lda;
  IntVec sums[R][2];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    sums[r][0] = FirstSum(args.column_sums + column);
    sums[r][1] = FirstSum(args.column_sums + column + kLanes);
  }
  constexpr ptrdiff_t kLine = kPanelWidth * kInt8GroupSize;
  const auto add_line = [&](int k, const char* fetched) __attribute__((always_inline)) {
    const int8_t* const line = panel + ptrdiff_t{k} * kPanelWidth;
    const auto w0 = LoadInt8Groups(line);
    const auto w1 = LoadInt8Groups(line + kLine / 2);
    Fetch<kLine>(fetched);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Int8Group group = Broadcast(x + r * args.lda + k);
      sums[r][0] = Dot(group, w0, sums[r][0]);
      sums[r][1] = Dot(group, w1, sums[r][1]);
    }
  };
  int k = 0;
  for (; k + (kFetchStreams - 1) * kInt8GroupSize < args.k; k += kFetchStreams * kInt8GroupSize) {
#pragma GCC unroll 4
    for (int i = 0; i < kFetchStreams; ++i)
      add_line(k + i * kInt8GroupSize, ahead.data + i * ahead.stream);
    ahead.data += ahead.step;
  }
  for (; k < args.k; k += kInt8GroupSize) add_line(k, ahead.data);
  Vec products[R][2];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vec scale = Set1(args.row_scales[first_row + r]);
    products[r][0] = Mul(ToFloat(sums[r][0]), scale);
    products[r][1] = Mul(ToFloat(sums[r][1]), scale);
  }
  Finish<R, 1>(products, {args.c + first_row * args.ldc + column, args.ldc, args.cols - column,
                          args.scales + column, args.bias == nullptr ? nullptr : args.bias + column,
                          args.accumulate});
}

template <int R = kInt8TileRows>
inline void RunInt8Tile(const GemmArgs& args, int rows, int first_row, int panel,
                        const Ahead& ahead) {
  if constexpr (R > 0) {
    if (rows == R) return Int8Tile<R>(args, first_row, panel, ahead);
    RunInt8Tile<R - 1>(args, rows, first_row, panel, ahead);
  }
}

void GemmInt8(const GemmArgs& args) {
  const int tiles = (args.rows + kInt8TileRows - 1) / kInt8TileRows;
  const int panels = (args.cols + kPanelWidth - 1) / kPanelWidth;
  const ptrdiff_t stream = args.panel_bytes / kFetchStreams;
  for (int p = 0; p < panels; ++p) {
    const char* const next = NextPanel(args, p, panels);
    for (int t = 0; t < tiles; ++t) {
      const int start = TileStart(t, args.rows, tiles);
      RunInt8Tile(args, TileStart(t + 1, args.rows, tiles) - start, start, p,
                  {next + stream * t / tiles, stream, kPanelWidth * kInt8GroupSize / tiles});
    }
  }
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_INT8_KERNEL_H_
