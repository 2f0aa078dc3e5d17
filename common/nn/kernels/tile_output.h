// How the sums of a register tile become elements of c. Included by the kernels_*.cc files only,
// after their simd_*.h.
#ifndef MELLOW_COMMON_NN_KERNELS_TILE_OUTPUT_H_
#define MELLOW_COMMON_NN_KERNELS_TILE_OUTPUT_H_

#include <cstddef>

namespace mellow::nn::kernels {
namespace {

constexpr int kPanelWidth = 2 * kLanes;

// How a finished block of sums goes to c.
struct TileOutput {
  float* c;
  ptrdiff_t ldc;
  int cols;             // valid columns from the tile's first
  const float* scales;  // null unless int8
  const float* bias;    // null unless this is the first block of k
  bool load;            // add to c's contents
};

template <int R, int P>
inline __attribute__((always_inline)) void Finish(const Vec (&acc)[R][2 * P],
                                                  const TileOutput& out) {
  if (__builtin_expect(out.cols >= P * kPanelWidth, 1)) {
    for (int r = 0; r < R; ++r) {
      for (int j = 0; j < 2 * P; ++j) {
        float* c = out.c + r * out.ldc + j * kLanes;
        Vec v = acc[r][j];
        if (out.scales != nullptr) v = Mul(v, Load(out.scales + j * kLanes));
        if (out.bias != nullptr) v = Add(v, Load(out.bias + j * kLanes));
        if (out.load) v = Add(Load(c), v);
        Store(c, v);
      }
    }
    return;
  }
  for (int j = 0; j < 2 * P; ++j) {
    const int lanes = out.cols - j * kLanes < kLanes ? out.cols - j * kLanes : kLanes;
    if (lanes <= 0) return;
    for (int r = 0; r < R; ++r) {
      float* c = out.c + r * out.ldc + j * kLanes;
      Vec v = acc[r][j];
      if (lanes == kLanes) {
        if (out.scales != nullptr) v = Mul(v, Load(out.scales + j * kLanes));
        if (out.bias != nullptr) v = Add(v, Load(out.bias + j * kLanes));
        if (out.load) v = Add(Load(c), v);
        Store(c, v);
      } else {
        if (out.scales != nullptr) v = Mul(v, LoadTail(out.scales + j * kLanes, lanes));
        if (out.bias != nullptr) v = Add(v, LoadTail(out.bias + j * kLanes, lanes));
        if (out.load) v = Add(LoadTail(c, lanes), v);
        StoreTail(c, lanes, v);
      }
    }
  }
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_TILE_OUTPUT_H_
