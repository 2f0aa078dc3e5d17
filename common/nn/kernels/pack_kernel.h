// Rows as a panel. Included by the kernels_*.cc files only, after vector_math.h.
#ifndef MELLOW_COMMON_NN_KERNELS_PACK_KERNEL_H_
#define MELLOW_COMMON_NN_KERNELS_PACK_KERNEL_H_

#include <cstddef>
#include <utility>

#include "common/nn/kernels/tile_output.h"

namespace mellow::nn::kernels {
namespace {

// a[first], b[first], a[first + 1], b[first + 1], ...
template <int kFirst, int... kLane>
inline Vec Zip(Vec a, Vec b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, (kFirst + kLane / 2 + kLane % 2 * kLanes)...);
}

// Element j of row i to element i of row j: log2(kLanes) perfect shuffles of the whole square.
inline void Transpose(Vec (&rows)[kLanes]) {
  using Lanes = std::make_integer_sequence<int, kLanes>;
#pragma GCC unroll 4
  for (int step = 1; step < kLanes; step *= 2) {
    Vec zipped[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      zipped[2 * i] = Zip<0>(rows[i], rows[i + kLanes / 2], Lanes());
      zipped[2 * i + 1] = Zip<kLanes / 2>(rows[i], rows[i + kLanes / 2], Lanes());
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = zipped[i];
  }
}

void PackPanel(const float* x, ptrdiff_t stride, int rows, int n, float* panel) {
  for (int first = 0; first < kPanelWidth; first += kLanes) {
    for (int k = 0; k < n; k += kLanes) {
      const int count = n - k < kLanes ? n - k : kLanes;
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r)
        square[r] = first + r < rows ? LoadN(x + (first + r) * stride + k, count) : Zero();
      Transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        if (i < count) Store(panel + ptrdiff_t{k + i} * kPanelWidth + first, square[i]);
      }
    }
  }
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_PACK_KERNEL_H_
