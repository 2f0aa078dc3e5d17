#ifndef MELLOW_COMMON_NN_KERNELS_KERNEL_TABLE_H_
#define MELLOW_COMMON_NN_KERNELS_KERNEL_TABLE_H_

// The arithmetic of CPU inference, compiled once per instruction set and chosen at run time.
//
// The same source (table_of_isa.h and what it includes) is compiled into kernels_generic.cc,
// kernels_avx2.cc, kernels_avx512.cc and kernels_avx512_bf16.cc with different flags, everything in
// it with internal linkage, so that no AVX code leaks into the rest of the program. kernels_amx.cc
// has two products more. This header is included by those files: it must stay free of inline
// functions and of the standard library's templates.
//
// Numbers: every output element is computed in an order that depends on K alone, never on the other
// rows, the row's position, how the work is cut, or the instruction set. So a row's result is the
// same bits alone and in any batch, with any thread count, on any CPU.

#include <cstddef>
#include <cstdint>

namespace mellow::nn::kernels {

// kAvx512Bf16 has VNNI and BF16 beside the rest of AVX-512, kAmx the tiles of both beside that.
enum class Isa { kGeneric, kAvx2, kAvx512, kAvx512Bf16, kAmx };
enum class Activation { kRelu, kGeluTanh, kGeluErf, kSilu };
// How a packed matrix stores its elements, and what a product with it computes.
//   kFloat32, kFloat16: fp32 products and sums; 16-bit weights are widened.
//   kBFloat16: x is rounded to bfloat16 as the weights are; products are exact, sums are fp32, in
//     an order of their own (kBFloat16PieceK).
//   kInt8: each row of x gets a scale, max|x| / 127, as each output column of the weights has one;
//     products and sums are integers, exact, and times both scales at the end.
enum class PanelFormat { kFloat32, kBFloat16, kFloat16, kInt8 };

// Products are summed in blocks of this many k, each from zero, and the blocks are added in order.
// Part of the meaning of a result: all instruction sets and all tile shapes share it.
inline constexpr int kBlockK = 256;
// Rows of x that one Gemm call packs and keeps in the second-level cache. More rows work, slower.
inline constexpr int kMaxGemmRows = 96;
inline constexpr int kPackedK = 1024;
inline constexpr int kMaxPanelWidth = 32;
// With bf16 the order is the one that AMX-BF16 has in its tiles, for which it is made: in pieces of
// 32 k the even and the odd k are summed apart, each from zero, and added to each other; the sums
// of the pieces are added in order, in blocks of kPackedK from zero; the blocks in order again.
inline constexpr int kBFloat16PieceK = 32;
// Floats of workspace that Gemm needs: packed rows of x, and one decoded panel block.
inline constexpr size_t kGemmWorkspace =
    size_t{kMaxGemmRows} * kPackedK + size_t{kPackedK} * kMaxPanelWidth;

// k of one column that lie side by side in an int8 panel.
inline constexpr int kInt8GroupSize = 4;

// How bfloat16 lie in panels and in rows of x (by round_row). "Line": what a panel has for one k,
// or for one pair of k: an element for each column.
enum class BFloat16Layout {
  kSingle,      // lines of single k; rows of floats whose lower halves are zero
  kPairs,       // lines of k, k + 1 for even k, the first in the lower half of 32 bits: AMX
  kPairsApart,  // lines of k, k + 2, the first in the upper half: 0 and 2, 1 and 3, 4 and 6...
};

// c[rows, cols] (+)= a[rows, k] * W^T (+ bias), activated; W packed in panels of panel_width
// columns, each panel k-major: element (column p * panel_width + j, kk) is at panels + p *
// panel_bytes + (kk * panel_width + j) * element size. Two formats differ:
//   kInt8: groups of k instead of single k, and a in int8 (from quantize_row), both padded by zeros
//     to a multiple of the table's int8_multiple, which is what k counts.
//   kBFloat16: a is rounded (by round_row); in layouts of pairs, two k are one element of a and of
//     W, and k and lda count pairs. Both are padded by zeros to a multiple of bfloat16_multiple.
struct GemmArgs {
  const float* a = nullptr;        // null with kInt8
  const int8_t* a_int8 = nullptr;  // kInt8 only
  ptrdiff_t lda = 0;               // elements from a row of a to the next
  int rows = 0;                    // at most kMaxGemmRows
  int k = 0;
  const void* panels = nullptr;
  ptrdiff_t panel_bytes = 0;
  PanelFormat format = PanelFormat::kFloat32;
  const float* row_scales = nullptr;     // [rows], kInt8 only
  const float* scales = nullptr;         // [cols], kInt8 only
  const int32_t* column_sums = nullptr;  // [cols up to whole panels], kInt8 only: of W over k
  const float* bias = nullptr;           // [cols] or null
  int cols = 0;
  bool accumulate = false;                 // add to what c holds
  const Activation* activation = nullptr;  // of c's elements when they are complete, or null
  float* c = nullptr;
  ptrdiff_t ldc = 0;
  float* workspace =
      nullptr;  // kGemmWorkspace floats, 64-byte aligned; may be null while rows <= tile_rows
};

// c[rows, cols] (+)= a b with b [k, cols] as it lies in memory: for products whose right side is
// used once. `a_transposed`: a is [k, rows]. Sums go as in Gemm.
struct GemmRowsArgs {
  const float* a = nullptr;
  ptrdiff_t lda = 0;
  bool a_transposed = false;
  int rows = 0;  // at most kMaxGemmRows * kPackedK / kBlockK
  int k = 0;
  const float* b = nullptr;
  ptrdiff_t ldb = 0;
  int cols = 0;
  bool accumulate = false;
  float* c = nullptr;
  ptrdiff_t ldc = 0;
  float* workspace = nullptr;  // as GemmArgs, never null
};

struct KernelTable {
  Isa isa;
  const char* name;
  int panel_width;  // columns of a panel, at most kMaxPanelWidth
  int tile_rows;    // rows of the largest register tile of fp32
  // Blocks of many rows have a multiple of tile_rows, or of this with bf16 and int8.
  int rounded_row_multiple;

  BFloat16Layout bfloat16_layout;
  int bfloat16_multiple;  // of k: GemmArgs
  int int8_multiple;

  void (*gemm)(const GemmArgs& args);
  // q[n] = x / scale to the nearest integer, scale = max|x| / 127, which is returned: 0 for a row
  // of zeros, NaN where an element of x is not finite.
  float (*quantize_row)(const float* x, int n, int8_t* q);
  // x[n] rounded to bfloat16, in the table's layout and padded to its multiple: as many floats of y
  // as that is k, or half as many in layouts of pairs.
  void (*round_row)(const float* x, int n, float* y);
  void (*gemm_rows)(const GemmRowsArgs& args);
  // panel[n][panel_width]: column j is row j of x[rows, n], whose rows are `stride` apart, at most
  // panel_width; zeros behind the last one.
  void (*pack_panel)(const float* x, ptrdiff_t stride, int rows, int n, float* panel);
  // y = x / sqrt(mean(x^2) + eps) * weight (T5's layer norm).
  void (*rms_norm)(const float* x, const float* weight, float eps, int n, float* y);
  // y = (x - mean) / sqrt(var + eps) * weight + bias.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int n,
                     float* y);
  // In place; n >= 1.
  void (*softmax)(float* x, int n);
  // log(sum(exp(x))), n >= 1.
  double (*log_sum_exp)(const float* x, int n);
  // In place.
  void (*activate)(Activation activation, float* x, int n);
  // y = activation(gate) * linear; y may be gate.
  void (*activate_gated)(Activation activation, const float* gate, const float* linear, int n,
                         float* y);
  // y += x
  void (*add)(const float* x, int n, float* y);
  // y *= x
  void (*multiply)(const float* x, int n, float* y);
  // y *= factor
  void (*scale)(float factor, int n, float* y);

  // Backward passes. dx += the gradient of rms_norm's x, given that of y.
  void (*rms_norm_backward)(const float* x, const float* weight, const float* dy, float eps, int n,
                            float* dx);
  // In place, the gradient of the probabilities p to that of the scores: dx = p (dx - sum(p dx)).
  void (*softmax_backward)(const float* p, int n, float* dx);
  // In place: d *= activation'(x).
  void (*activate_backward)(Activation activation, const float* x, int n, float* d);
  // The backward pass of activate_gated; d_gate and d_linear may be gate and linear, or dy.
  void (*activate_gated_backward)(Activation activation, const float* gate, const float* linear,
                                  const float* dy, int n, float* d_gate, float* d_linear);
  // In place: logits x to probabilities exp(x - log_sum), log_sum their log_sum_exp. Returns the
  // expected logit, sum(p x).
  double (*probabilities)(double log_sum, int n, float* x);
};

// The best that this CPU runs. MELLOW_ISA=generic|avx2|avx512|avx512_bf16|amx in the environment
// picks a lesser one (for comparison).
const KernelTable& Kernels();
// Null when this CPU or this build lacks it, or when its bfloat16 and int8 instructions do not give
// the bits of the generic path (tried once, on a small product).
const KernelTable* KernelsFor(Isa isa);

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_KERNEL_TABLE_H_
