#ifndef MELLOW_COMMON_NN_KERNELS_PACKED_MATRIX_H_
#define MELLOW_COMMON_NN_KERNELS_PACKED_MATRIX_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/nn/kernels/aligned_buffer.h"
#include "common/nn/kernels/kernel_table.h"
#include "common/nn/kernels/thread_pool.h"

namespace mellow::nn::kernels {

// The weight W [out, in] of y = x W^T, packed once for a KernelTable's tiles. Immutable and
// thread-safe after packing.
class PackedMatrix {
 public:
  // Fills `row` with W[index, 0..in). Called once per row, from several threads.
  using RowReader = std::function<void(int64_t index, float* row)>;

  PackedMatrix() = default;
  // int8: symmetric, scale max|w| / 127 per output; bf16 and fp16 round to nearest even, and bf16
  // takes what is under 2^-40 for zero.
  PackedMatrix(const KernelTable& kernels, int out, int in, PanelFormat format,
               const RowReader& reader, ThreadPool* pool);

  // Makes `to` the W^T of this one, which is fp32 or bf16: for x W, the gradient of an input. Uses
  // the memory that `to` has where it is enough.
  void TransposeInto(PackedMatrix* to, ThreadPool* pool) const;
  // Becomes empty; as AlignedBytes::Discard.
  void Discard() {
    out_ = in_ = 0;
    panels_.Discard();
  }
  // W[index, 0..in) of fp32 or bf16, as it is multiplied.
  void Row(int64_t index, float* row) const;

  int out() const { return out_; }
  int in() const { return in_; }
  size_t bytes() const { return panels_.size(); }

  // For Gemm: the columns from `first_panel` on.
  const void* panel(int index) const {
    return static_cast<const uint8_t*>(panels_.data()) + index * panel_bytes_;
  }
  ptrdiff_t panel_bytes() const { return panel_bytes_; }
  PanelFormat format() const { return format_; }
  // in(), and the zeros behind it: GemmArgs.
  int padded_in() const { return padded_in_; }
  // Whether pairs of bfloat16 are an element.
  bool pairs() const {
    return format_ == PanelFormat::kBFloat16 && layout_ != BFloat16Layout::kSingle;
  }
  // Null unless int8.
  const float* scales() const { return scales_.empty() ? nullptr : scales_.data(); }
  const int32_t* column_sums() const { return sums_.empty() ? nullptr : sums_.data(); }

 private:
  int out_ = 0;
  int in_ = 0;
  int multiple_ = 1;
  int padded_in_ = 0;
  int width_ = 1;  // of a panel
  PanelFormat format_ = PanelFormat::kFloat32;
  BFloat16Layout layout_ = BFloat16Layout::kSingle;
  ptrdiff_t panel_bytes_ = 0;
  AlignedBytes panels_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;  // of each column's int8, whole panels
};

// Rows of floats in memory: row r starts at data + r * stride.
struct ConstRows {
  const float* data = nullptr;
  ptrdiff_t stride = 0;
};
struct Rows {
  float* data = nullptr;
  ptrdiff_t stride = 0;
};

struct MatMulOptions {
  const float* bias = nullptr;           // [out]
  bool accumulate = false;               // y += instead of y =
  std::optional<Activation> activation;  // of what y then holds
};

// y[rows, out] (+)= x[rows, in] W^T (+ bias), spread over the pool. y may not overlap x. With bf16
// and int8 weights x is rounded first: see PanelFormat.
void MatMul(const KernelTable& kernels, ThreadPool* pool, const PackedMatrix& w, ConstRows x,
            int rows, Rows y, const MatMulOptions& options = {});

// x as W's format multiplies it: rounded (PanelFormat), or x itself.
struct RoundedRows {
  int k = 0;                      // GemmArgs::k
  const float* floats = nullptr;  // unless int8
  const int8_t* bytes = nullptr;  // int8 only
  const float* scales = nullptr;  // of each row of bytes, behind them
  ptrdiff_t stride = 0;           // elements
};
// The result points into `buffer`, or is x where nothing is rounded: both stay until it is used.
RoundedRows RoundFor(const KernelTable& kernels, ThreadPool* pool, const PackedMatrix& w,
                     ConstRows x, int rows, FloatBuffer* buffer);
// A part of MatMul, on the calling thread: the rows [first, first + rows) of x by the columns
// [column, column + cols) of W^T, to y[rows, cols]. `column` is the first of a panel; the bias is
// that of all columns.
void MatMulColumns(const KernelTable& kernels, const PackedMatrix& w, const RoundedRows& x,
                   int first, int rows, int column, int cols, Rows y,
                   const MatMulOptions& options = {});

// c[rows, cols] += a^T b, the sum over n of outer products of rows of a [n, rows] and b [n, cols]:
// the gradient of a weight. Sequence i is the rows [offsets[i], offsets[i + 1]) of a and b; each is
// summed by itself, and the sums as sum_tree.h has it. Spread over the pool by rows and columns of
// c.
void MatMulTransposed(const KernelTable& kernels, ThreadPool* pool, ConstRows a, int rows,
                      ConstRows b, int cols, const std::vector<int>& offsets, Rows c);

// This thread's workspace for GemmArgs.
float* GemmWorkspace();

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_PACKED_MATRIX_H_
