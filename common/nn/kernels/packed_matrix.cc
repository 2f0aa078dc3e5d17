#include "common/nn/kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/base/sum_tree.h"

namespace mellow::nn::kernels {
namespace {

size_t ElementBytes(PanelFormat format) {
  switch (format) {
    case PanelFormat::kFloat32:
      return 4;
    case PanelFormat::kBFloat16:
    case PanelFormat::kFloat16:
      return 2;
    case PanelFormat::kInt8:
      return 1;
  }
  return 4;
}

// What k is padded to, in panels and in rows of x.
int MultipleOfK(const KernelTable& kernels, PanelFormat format) {
  if (format == PanelFormat::kInt8) return kernels.int8_multiple;
  return format == PanelFormat::kBFloat16 ? kernels.bfloat16_multiple : 1;
}

int PaddedTo(int multiple, int k) { return (k + multiple - 1) / multiple * multiple; }

// Where number k of a column lies, counted in bfloat16 from its panel's beginning.
size_t BFloat16At(BFloat16Layout layout, size_t k, size_t width, size_t column) {
  switch (layout) {
    case BFloat16Layout::kSingle:
      return k * width + column;
    case BFloat16Layout::kPairs:
      return (k / 2 * width + column) * 2 + k % 2;
    case BFloat16Layout::kPairsApart:
      return ((k / 4 * 2 + k % 2) * width + column) * 2 + (k % 4 < 2 ? 1 : 0);
  }
  return 0;
}

uint32_t FloatBits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

uint16_t ToFloat16(float x) {
  const uint32_t bits = FloatBits(x);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  if (std::isnan(x)) return sign | 0x7e00;
  const float magnitude = std::fabs(x);
  if (magnitude >= 65520.0f) return sign | 0x7c00;
  if (magnitude < 0x1p-14f) {  // subnormal: multiples of 2^-24
    return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f));
  }
  const uint32_t rounded = (bits & 0x7fffffff) + 0xfff + ((bits >> 13) & 1);
  return sign | static_cast<uint16_t>((rounded >> 13) - (uint32_t{112} << 10));
}

// Writes one row of W as column `column` of its panel.
template <class Element, class Convert>
void Scatter(const float* row, int k, int width, int column, void* panel, Convert convert) {
  auto* out = static_cast<Element*>(panel) + column;
  for (int kk = 0; kk < k; ++kk) out[static_cast<size_t>(kk) * width] = convert(row[kk]);
}

struct QuantizedColumn {
  float scale = 0;
  int32_t sum = 0;
};
// The same in int8, by groups of k.
QuantizedColumn ScatterInt8(const float* row, int k, int width, int column, void* panel) {
  float largest = 0;
  for (int kk = 0; kk < k; ++kk) largest = std::max(largest, std::fabs(row[kk]));
  QuantizedColumn quantized = {.scale = largest / 127.0f};
  const float inverse = quantized.scale > 0 ? 1.0f / quantized.scale : 0.0f;
  auto* out = static_cast<int8_t*>(panel) + column * kInt8GroupSize;
  for (int kk = 0; kk < k; ++kk) {
    const auto value =
        static_cast<int8_t>(std::clamp(std::nearbyint(row[kk] * inverse), -127.0f, 127.0f));
    out[static_cast<size_t>(kk / kInt8GroupSize) * width * kInt8GroupSize + kk % kInt8GroupSize] =
        value;
    quantized.sum += value;
  }
  return quantized;
}

// to[i][j] = from[j][i] for i < rows, j < count, and zeros behind; lines of both are `width` long.
template <int kWidth, class Element>
void TransposeTileOf(const Element* from, int count, int rows, Element* to) {
  if (count == kWidth && rows == kWidth) {
    for (int i = 0; i < kWidth; ++i) {
#pragma GCC unroll 32
      for (int j = 0; j < kWidth; ++j) to[i * kWidth + j] = from[j * kWidth + i];
    }
    return;
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kWidth; ++j)
      to[i * kWidth + j] = j < count ? from[j * kWidth + i] : Element{};
  }
}
template <class Element>
void TransposeTile(const Element* from, int width, int count, int rows, Element* to) {
  switch (width) {
    case 8:
      return TransposeTileOf<8>(from, count, rows, to);
    case 16:
      return TransposeTileOf<16>(from, count, rows, to);
    default:
      return TransposeTileOf<32>(from, count, rows, to);
  }
}

// The same of pairs, for `count` and `rows` that are padded and with what pads them zero. The width
// is a multiple of what is padded to, so that no pair lies in two tiles.
template <BFloat16Layout kLayout>
void TransposePairs(const uint32_t* from, int width, int count, int rows, uint32_t* to) {
  // Lines of one group of k, and how far apart the numbers of a pair are.
  constexpr int kLines = kLayout == BFloat16Layout::kPairs ? 1 : 2;
  for (int i = 0; i < rows; i += 2 * kLines) {
    for (int column = 0; column < kLines; ++column) {
      uint32_t* const line = to + (i / 2 + column) * width;
      for (int j = 0; j < count; j += 2 * kLines) {
        for (int k = 0; k < kLines; ++k) {
          const uint32_t* const pairs = from + (j / 2 + k) * width + i + column;
          const uint32_t first = pairs[0], second = pairs[kLines];
          uint32_t* const out = line + j + k;
          if constexpr (kLayout == BFloat16Layout::kPairs) {
            out[0] = (first & 0xffffu) | second << 16;
            out[kLines] = first >> 16 | (second & 0xffff0000u);
          } else {
            out[0] = (first & 0xffff0000u) | second >> 16;
            out[kLines] = first << 16 | (second & 0xffffu);
          }
        }
      }
      for (int j = count; j < width; ++j) line[j] = 0;
    }
  }
}

}  // namespace

PackedMatrix::PackedMatrix(const KernelTable& kernels, int out, int in, PanelFormat format,
                           const RowReader& reader, ThreadPool* pool)
    : out_(out),
      in_(in),
      multiple_(MultipleOfK(kernels, format)),
      padded_in_(PaddedTo(multiple_, in)),
      width_(kernels.panel_width),
      format_(format),
      layout_(kernels.bfloat16_layout) {
  const int width = kernels.panel_width;
  const int panels = (out + width - 1) / width;
  const size_t bytes = static_cast<size_t>(padded_in_) * width * ElementBytes(format);
  panel_bytes_ = static_cast<ptrdiff_t>((bytes + 63) / 64 * 64);
  panels_ = AlignedBytes(panels * static_cast<size_t>(panel_bytes_));
  if (format == PanelFormat::kInt8) {
    scales_.assign(out, 0.0f);
    sums_.assign(static_cast<size_t>(panels) * width, 0);
  }
  pool->Run(panels, [&](int p) {
    std::vector<float> row(in), rounded(padded_in_);
    auto* panel = static_cast<uint8_t*>(panels_.data()) + p * panel_bytes_;
    std::memset(panel, 0, panel_bytes_);
    for (int j = 0; j < width && p * width + j < out; ++j) {
      const int index = p * width + j;
      reader(index, row.data());
      switch (format) {
        case PanelFormat::kFloat32:
          Scatter<float>(row.data(), in, width, j, panel, [](float x) { return x; });
          break;
        case PanelFormat::kBFloat16:
          // As the rows that it is multiplied with: a pair in the place of a float, or floats whose
          // lower halves are zero.
          kernels.round_row(row.data(), in, rounded.data());
          if (pairs()) {
            Scatter<uint32_t>(rounded.data(), padded_in_ / 2, width, j, panel, FloatBits);
          } else {
            Scatter<uint16_t>(rounded.data(), in, width, j, panel,
                              [](float x) { return static_cast<uint16_t>(FloatBits(x) >> 16); });
          }
          break;
        case PanelFormat::kFloat16:
          Scatter<uint16_t>(row.data(), in, width, j, panel, ToFloat16);
          break;
        case PanelFormat::kInt8: {
          const QuantizedColumn quantized = ScatterInt8(row.data(), in, width, j, panel);
          scales_[index] = quantized.scale;
          sums_[index] = quantized.sum;
          break;
        }
      }
    }
  });
}

void PackedMatrix::TransposeInto(PackedMatrix* to, ThreadPool* pool) const {
  to->out_ = in_;
  to->in_ = out_;
  to->multiple_ = multiple_;
  to->padded_in_ = PaddedTo(multiple_, out_);
  to->width_ = width_;
  to->format_ = format_;
  to->layout_ = layout_;
  to->scales_.clear();
  to->sums_.clear();
  const int panels = (in_ + width_ - 1) / width_;
  const size_t line = static_cast<size_t>(width_) * ElementBytes(format_);  // of one k
  to->panel_bytes_ = static_cast<ptrdiff_t>((to->padded_in_ * line + 63) / 64 * 64);
  const size_t bytes = panels * static_cast<size_t>(to->panel_bytes_);
  if (to->panels_.size() < bytes) {
    to->panels_ = AlignedBytes();  // first, so that there is never room for both
    to->panels_ = AlignedBytes(bytes);
  }
  // Columns [p * width, ...) of this one are a panel of `to`; tile by tile of width x width.
  pool->Run(panels, [&](int p) {
    const int first = p * width_;
    const int count = std::min(width_, padded_in_ - first);
    auto* const out = static_cast<uint8_t*>(to->panels_.data()) + p * to->panel_bytes_;
    const auto transpose = [&]<class Element>(Element*, const auto& tile) {
      for (int o = 0; o < to->padded_in_; o += width_) {
        tile(reinterpret_cast<const Element*>(static_cast<const uint8_t*>(panel(o / width_)) +
                                              first * line),
             width_, count, std::min(width_, to->padded_in_ - o),
             reinterpret_cast<Element*>(out + o * line));
      }
    };
    if (!pairs()) {
      if (format_ == PanelFormat::kFloat32)
        return transpose(static_cast<float*>(nullptr), TransposeTile<float>);
      return transpose(static_cast<uint16_t*>(nullptr), TransposeTile<uint16_t>);
    }
    if (layout_ == BFloat16Layout::kPairs)
      return transpose(static_cast<uint32_t*>(nullptr), TransposePairs<BFloat16Layout::kPairs>);
    transpose(static_cast<uint32_t*>(nullptr), TransposePairs<BFloat16Layout::kPairsApart>);
  });
}

void PackedMatrix::Row(int64_t index, float* row) const {
  const auto* const lines = static_cast<const uint8_t*>(panel(static_cast<int>(index / width_)));
  const auto column = static_cast<size_t>(index % width_);
  for (int k = 0; k < in_; ++k) {
    if (format_ == PanelFormat::kFloat32) {
      const size_t at = static_cast<size_t>(k) * width_ + column;
      std::memcpy(row + k, lines + at * sizeof(float), sizeof(float));
      continue;
    }
    uint16_t upper;
    std::memcpy(&upper, lines + BFloat16At(layout_, k, width_, column) * sizeof(upper),
                sizeof(upper));
    const uint32_t bits = uint32_t{upper} << 16;
    std::memcpy(row + k, &bits, sizeof(bits));
  }
}

float* GemmWorkspace() {
  static thread_local FloatBuffer buffer(kGemmWorkspace);
  return buffer.data();
}

RoundedRows RoundFor(const KernelTable& kernels, ThreadPool* pool, const PackedMatrix& w,
                     ConstRows x, int rows, FloatBuffer* buffer) {
  const bool int8 = w.format() == PanelFormat::kInt8;
  if (!int8 && w.format() != PanelFormat::kBFloat16)
    return {.k = w.in(), .floats = x.data, .stride = x.stride};
  // The scales of int8 follow the last row.
  const int numbers_of_a_float = int8 ? 4 : w.pairs() ? 2 : 1;
  const ptrdiff_t stride = w.padded_in() / numbers_of_a_float;
  float* const floats = buffer->Reserve(static_cast<size_t>(rows) * (stride + (int8 ? 1 : 0)));
  float* const scales = floats + rows * stride;
  const auto round = [&](int row) {
    float* const to = floats + row * stride;
    const float* const from = x.data + row * x.stride;
    if (!int8) return kernels.round_row(from, w.in(), to);
    auto* const bytes = reinterpret_cast<int8_t*>(to);
    scales[row] = kernels.quantize_row(from, w.in(), bytes);
    std::memset(bytes + w.in(), 0, stride * sizeof(float) - w.in());
  };
  constexpr int kChunk = 16;  // rows: microseconds, more than handing them out costs
  const int chunks = (rows + kChunk - 1) / kChunk;
  const auto run = [&](int chunk) {
    const int end = std::min((chunk + 1) * kChunk, rows);
    for (int row = chunk * kChunk; row < end; ++row) round(row);
  };
  if (chunks == 1) {
    run(0);
  } else {
    pool->Run(chunks, run);
  }
  if (!int8) return {.k = static_cast<int>(stride), .floats = floats, .stride = stride};
  return {.k = w.padded_in(),
          .bytes = reinterpret_cast<const int8_t*>(floats),
          .scales = scales,
          .stride = stride * static_cast<ptrdiff_t>(sizeof(float))};
}

namespace {

// Rows of one Gemm call when there are `rows`: whole tiles, evenly filled.
int BlockRows(const KernelTable& kernels, const PackedMatrix& w, int rows) {
  const int blocks = (rows + kMaxGemmRows - 1) / kMaxGemmRows;
  const int even = (rows + blocks - 1) / blocks;
  if (blocks == 1) return even;
  const bool rounds = w.format() == PanelFormat::kBFloat16 || w.format() == PanelFormat::kInt8;
  const int tile = rounds ? kernels.rounded_row_multiple : kernels.tile_rows;
  return std::min((even + tile - 1) / tile * tile, kMaxGemmRows / tile * tile);
}

// `rows` of at most kMaxGemmRows by the columns [column, column + cols), the first of a panel.
void MultiplyBlock(const KernelTable& kernels, const PackedMatrix& w, const RoundedRows& x,
                   int first, int rows, int column, int cols, Rows y,
                   const MatMulOptions& options) {
  GemmArgs args;
  if (x.bytes != nullptr) {
    args.a_int8 = x.bytes + first * x.stride;
    args.row_scales = x.scales + first;
    args.column_sums = w.column_sums() + column;
  } else {
    args.a = x.floats + first * x.stride;
  }
  args.lda = x.stride;
  args.rows = rows;
  args.k = x.k;
  args.panels = w.panel(column / kernels.panel_width);
  args.panel_bytes = w.panel_bytes();
  args.format = w.format();
  args.scales = w.scales() == nullptr ? nullptr : w.scales() + column;
  args.bias = options.bias == nullptr ? nullptr : options.bias + column;
  args.cols = cols;
  args.accumulate = options.accumulate;
  args.activation = options.activation ? &*options.activation : nullptr;
  args.c = y.data;
  args.ldc = y.stride;
  args.workspace = GemmWorkspace();
  kernels.gemm(args);
}

}  // namespace

void MatMulColumns(const KernelTable& kernels, const PackedMatrix& w, const RoundedRows& x,
                   int first, int rows, int column, int cols, Rows y,
                   const MatMulOptions& options) {
  if (rows <= 0) return;
  const int block = BlockRows(kernels, w, rows);
  for (int start = 0; start < rows; start += block) {
    MultiplyBlock(kernels, w, x, first + start, std::min(block, rows - start), column, cols,
                  {y.data + start * y.stride, y.stride}, options);
  }
}

void MatMul(const KernelTable& kernels, ThreadPool* pool, const PackedMatrix& w, ConstRows x,
            int rows, Rows y, const MatMulOptions& options) {
  if (rows <= 0) return;
  static thread_local FloatBuffer buffer;
  const RoundedRows rounded = RoundFor(kernels, pool, w, x, rows, &buffer);
  const int width = kernels.panel_width;
  const int panels = (w.out() + width - 1) / width;
  const int block_rows = BlockRows(kernels, w, rows);
  const int blocks = (rows + block_rows - 1) / block_rows;
  // Panel ranges: enough tasks for the threads to even out, but none so small that handing it out
  // costs more than it does.
  const int wanted = blocks >= 4 * pool->size() ? 1 : (4 * pool->size() + blocks - 1) / blocks;
  int range = pool->size() == 1 ? panels : std::max((panels + wanted - 1) / wanted, 4);
  range = (range + 3) / 4 * 4;
  const int ranges = (panels + range - 1) / range;
  pool->Run(blocks * ranges, [&](int task) {
    const int start = task / ranges * block_rows;
    const int column = task % ranges * range * width;
    MultiplyBlock(kernels, w, rounded, start, std::min(block_rows, rows - start), column,
                  std::min(range * width, w.out() - column),
                  {y.data + start * y.stride + column, y.stride}, options);
  });
}

void MatMulTransposed(const KernelTable& kernels, ThreadPool* pool, ConstRows a, int rows,
                      ConstRows b, int cols, const std::vector<int>& offsets, Rows c) {
  // Parts of c, large enough that copying their share of a and b is small beside the product, and
  // small enough that those of all slots stay in the second-level cache.
  constexpr int kLeastRows = 48, kLeastColumns = 64;
  int part_rows = kMaxGemmRows, part_columns = 256;
  int row_parts, column_parts;
  while (true) {
    row_parts = (rows + part_rows - 1) / part_rows;
    column_parts = (cols + part_columns - 1) / part_columns;
    if (row_parts * column_parts >= 2 * pool->size() || pool->size() == 1) break;
    if (part_columns > kLeastColumns && cols > kLeastColumns) {
      part_columns /= 2;
    } else if (part_rows > kLeastRows && rows > kLeastRows) {
      part_rows /= 2;
    } else {
      break;
    }
  }
  const auto sequences = static_cast<int>(offsets.size()) - 1;
  pool->Run(row_parts * column_parts, [&](int task) {
    const int row = task / column_parts * part_rows;
    const int column = task % column_parts * part_columns;
    GemmRowsArgs args;
    args.a_transposed = true;
    args.lda = a.stride;
    args.rows = std::min(part_rows, rows - row);
    args.ldb = b.stride;
    args.cols = std::min(part_columns, cols - column);
    args.ldc = args.cols;
    args.workspace = GemmWorkspace();
    const size_t part = (static_cast<size_t>(args.rows) * args.cols + 15) / 16 * 16;
    static thread_local FloatBuffer buffer;
    float* const slots = buffer.Reserve(part * SumTreeSlots(static_cast<size_t>(sequences)));
    const auto product = [&](int first, int last, int slot) {
      if (last - first > 1) return false;
      args.a = a.data + offsets[first] * a.stride + row;
      args.b = b.data + offsets[first] * b.stride + column;
      args.k = offsets[last] - offsets[first];
      args.c = slots + slot * part;
      kernels.gemm_rows(args);
      return true;
    };
    const auto add = [&](int slot) {
      kernels.add(slots + (slot + 1) * part, args.rows * args.cols, slots + slot * part);
    };
    SumTree(0, sequences, 0, product, add);
    for (int i = 0; i < args.rows; ++i)
      kernels.add(slots + i * args.cols, args.cols, c.data + (row + i) * c.stride + column);
  });
}

}  // namespace mellow::nn::kernels
