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

uint32_t FloatBits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

uint16_t ToBFloat16(float x) {
  const uint32_t bits = FloatBits(x);
  if (std::isnan(x)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
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

// to[i][j] = from[j][i] for i < rows, j < count, and zeros behind; lines of both are `width` long.
template <int kWidth>
void TransposeTile(const float* from, int count, int rows, float* to) {
  if (count == kWidth && rows == kWidth) {
    for (int i = 0; i < kWidth; ++i) {
#pragma GCC unroll 32
      for (int j = 0; j < kWidth; ++j) to[i * kWidth + j] = from[j * kWidth + i];
    }
    return;
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kWidth; ++j) to[i * kWidth + j] = j < count ? from[j * kWidth + i] : 0.0f;
  }
}
void TransposeTile(const float* from, int width, int count, int rows, float* to) {
  switch (width) {
    case 8:
      return TransposeTile<8>(from, count, rows, to);
    case 16:
      return TransposeTile<16>(from, count, rows, to);
    default:
      return TransposeTile<32>(from, count, rows, to);
  }
}

}  // namespace

PackedMatrix::PackedMatrix(const KernelTable& kernels, int out, int in, PanelFormat format,
                           const RowReader& reader, ThreadPool* pool)
    : out_(out), in_(in), width_(kernels.panel_width), format_(format) {
  const int width = kernels.panel_width;
  const int panels = (out + width - 1) / width;
  const size_t bytes = static_cast<size_t>(in) * width * ElementBytes(format);
  panel_bytes_ = static_cast<ptrdiff_t>((bytes + 63) / 64 * 64);
  panels_ = AlignedBytes(panels * static_cast<size_t>(panel_bytes_));
  if (format == PanelFormat::kInt8) scales_.assign(out, 0.0f);
  pool->Run(panels, [&](int p) {
    std::vector<float> row(in);
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
          Scatter<uint16_t>(row.data(), in, width, j, panel, ToBFloat16);
          break;
        case PanelFormat::kFloat16:
          Scatter<uint16_t>(row.data(), in, width, j, panel, ToFloat16);
          break;
        case PanelFormat::kInt8: {
          float largest = 0;
          for (float x : row) largest = std::max(largest, std::fabs(x));
          const float scale = largest / 127.0f;
          scales_[index] = scale;
          const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
          Scatter<int8_t>(row.data(), in, width, j, panel, [inverse](float x) {
            return static_cast<int8_t>(std::clamp(std::nearbyint(x * inverse), -127.0f, 127.0f));
          });
          break;
        }
      }
    }
  });
}

void PackedMatrix::TransposeInto(PackedMatrix* to, ThreadPool* pool) const {
  to->out_ = in_;
  to->in_ = out_;
  to->width_ = width_;
  to->format_ = PanelFormat::kFloat32;
  to->scales_.clear();
  const int panels = (in_ + width_ - 1) / width_;
  const size_t line = static_cast<size_t>(width_) * sizeof(float);
  to->panel_bytes_ = static_cast<ptrdiff_t>((out_ * line + 63) / 64 * 64);
  const size_t bytes = panels * static_cast<size_t>(to->panel_bytes_);
  if (to->panels_.size() < bytes) {
    to->panels_ = AlignedBytes();  // first, so that there is never room for both
    to->panels_ = AlignedBytes(bytes);
  }
  pool->Run(panels, [&](int p) {
    const int first = p * width_;
    const int count = std::min(width_, in_ - first);
    auto* const out =
        reinterpret_cast<float*>(static_cast<uint8_t*>(to->panels_.data()) + p * to->panel_bytes_);
    for (int o = 0; o < out_; o += width_) {
      const float* const tile =
          static_cast<const float*>(panel(o / width_)) + static_cast<size_t>(first) * width_;
      TransposeTile(tile, width_, count, std::min(width_, out_ - o),
                    out + static_cast<size_t>(o) * width_);
    }
  });
}

void PackedMatrix::Row(int64_t index, float* row) const {
  const auto* const first =
      static_cast<const float*>(panel(static_cast<int>(index / width_))) + index % width_;
  for (int k = 0; k < in_; ++k) row[k] = first[static_cast<size_t>(k) * width_];
}

float* GemmWorkspace() {
  static thread_local FloatBuffer buffer(kGemmWorkspace);
  return buffer.data();
}

void MatMul(const KernelTable& kernels, ThreadPool* pool, const PackedMatrix& w, ConstRows x,
            int rows, Rows y, const MatMulOptions& options) {
  if (rows <= 0) return;
  const int width = kernels.panel_width;
  const int panels = (w.out() + width - 1) / width;
  // Row blocks: whole tiles, evenly filled.
  const int row_blocks = (rows + kMaxGemmRows - 1) / kMaxGemmRows;
  const int tile = kernels.tile_rows;
  int block_rows = (rows + row_blocks - 1) / row_blocks;
  if (row_blocks > 1)
    block_rows = std::min((block_rows + tile - 1) / tile * tile, kMaxGemmRows / tile * tile);
  const int blocks = (rows + block_rows - 1) / block_rows;
  // Panel ranges: enough tasks for the threads to even out, but none so small that handing it out
  // costs more than it does.
  const int wanted = blocks >= 4 * pool->size() ? 1 : (4 * pool->size() + blocks - 1) / blocks;
  int range = pool->size() == 1 ? panels : std::max((panels + wanted - 1) / wanted, 4);
  range = (range + 3) / 4 * 4;
  const int ranges = (panels + range - 1) / range;
  const auto run = [&](int task) {
    const int block = task / ranges;
    const int first = task % ranges * range;
    const int start = block * block_rows;
    const int column = first * width;
    GemmArgs args;
    args.a = x.data + start * x.stride;
    args.lda = x.stride;
    args.rows = std::min(block_rows, rows - start);
    args.k = w.in();
    args.panels = w.panel(first);
    args.panel_bytes = w.panel_bytes();
    args.format = w.format();
    args.scales = w.scales() == nullptr ? nullptr : w.scales() + column;
    args.bias = options.bias == nullptr ? nullptr : options.bias + column;
    args.cols = std::min(range * width, w.out() - column);
    args.accumulate = options.accumulate;
    args.c = y.data + start * y.stride + column;
    args.ldc = y.stride;
    args.workspace = GemmWorkspace();
    kernels.gemm(args);
  };
  pool->Run(blocks * ranges, run);
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
