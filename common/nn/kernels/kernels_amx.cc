// The int8 and bf16 products with AMX's tiles; everything else is AVX512-BF16's. Sums of integers
// are exact in any order, and the order of bf16 is the one that the tiles have (kernel_table.h).

// The vectors come first: the output is written with them.
// clang-format off
#include "common/nn/kernels/simd_avx512.h"
#include "common/nn/kernels/vector_math.h"
#include "common/nn/kernels/bfloat16_rows.h"
#include "common/nn/kernels/tile_output.h"
#include "common/nn/kernels/activation_kernel.h"
// clang-format on

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/nn/kernels/fetch_ahead.h"
#include "common/nn/kernels/isa_tables.h"
#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {
namespace {

// A tile is 16 lines of 64 bytes: of x, 16 rows by 64 int8 or 32 bf16 of k; of a panel, as much k
// by 16 columns; of sums, 16 rows by 16 columns.
constexpr int kTileLines = 16;
constexpr int kTileBytes = 64;
constexpr int kTileSums = kTileLines * kLanes;
// Rows of one pass over a panel: two tiles of x, times two of the panel, is four tiles of sums.
constexpr int kPassRows = 2 * kTileLines;
constexpr int kPanelLine = kPanelWidth * 4;  // bytes: four int8 or two bf16 for each column

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t line_bytes[16] = {};
  uint8_t lines[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// Tiles 0 to 3 are the sums (of the first rows with both halves of the panel, then of the second
// rows), 4 and 5 the rows, 6 and 7 the panel.
void Configure(int rows) {
  const int first = rows < kTileLines ? rows : kTileLines;
  const int second = rows > kTileLines ? rows - kTileLines : 1;  // a tile has a line at least
  TileConfig config;
  const int lines[8] = {first, first, second, second, first, second, kTileLines, kTileLines};
  for (int i = 0; i < 8; ++i) {
    config.line_bytes[i] = kTileBytes;
    config.lines[i] = static_cast<uint8_t>(lines[i]);
  }
  // As _tile_loadconfig, whose gcc 12 form names 8 of the bytes that are read: stores to the others
  // would be left out. The tile loads name no memory at all, but what they load was written by
  // other files.
  __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

struct Int8Product {
  static constexpr int kBlockBytes = 1 << 30;  // of a row of x that are summed from zero: all
  static const int8_t* Rows(const GemmArgs& args) { return args.a_int8; }
  static ptrdiff_t RowBytes(const GemmArgs& args) { return args.lda; }
  static int Bytes(const GemmArgs& args) { return args.k; }
  static Vec Scaled(const GemmArgs& args, int row, const float* sums) {
    return Mul(ToFloat(_mm512_load_si512(sums)), Set1(args.row_scales[row]));
  }
  template <bool kTwo>
  static inline __attribute__((always_inline)) void Add() {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    if constexpr (kTwo) {
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
  }
};

struct BFloat16Product {
  static constexpr int kBlockBytes = kPackedK * 2;
  static const int8_t* Rows(const GemmArgs& args) {
    return reinterpret_cast<const int8_t*>(args.a);
  }
  static ptrdiff_t RowBytes(const GemmArgs& args) { return args.lda * 4; }
  static int Bytes(const GemmArgs& args) { return args.k * 4; }
  static Vec Scaled(const GemmArgs&, int, const float* sums) { return Load(sums); }
  template <bool kTwo>
  static inline __attribute__((always_inline)) void Add() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kTwo) {
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
};

// The sums of one pass, which become elements of c while the next one computes: the tiles and the
// vectors are different units of the core.
template <class Product>
class PendingRows {
 public:
  explicit PendingRows(const GemmArgs& args) : args_(args) {}

  // Those of `rows` rows from `row` on and the panel at `column` are in the tiles. `first`, `last`:
  // of the row's blocks.
  template <bool kTwo>
  void Take(int row, int rows, int column, bool first, bool last) {
    FinishRows(rows_);  // none, after as many steps as there are
    _tile_stored(0, tiles_[0], kTileBytes);
    _tile_stored(1, tiles_[1], kTileBytes);
    if constexpr (kTwo) {
      _tile_stored(2, tiles_[2], kTileBytes);
      _tile_stored(3, tiles_[3], kTileBytes);
    }
    row_ = row;
    rows_ = rows;
    column_ = column;
    first_ = first;
    last_ = last;
    finished_ = 0;
  }
  // Finishes so many rows more, if there are any.
  inline __attribute__((always_inline)) void FinishRows(int count) {
    const int end = finished_ + count < rows_ ? finished_ + count : rows_;
    for (; finished_ < end; ++finished_) {
      const int tile = finished_ / kTileLines * 2;
      const int at = finished_ % kTileLines * kLanes;
      const int row = row_ + finished_;
      const Vec products[1][2] = {{Product::Scaled(args_, row, tiles_[tile] + at),
                                   Product::Scaled(args_, row, tiles_[tile + 1] + at)}};
      float* const c = args_.c + row * args_.ldc + column_;
      const int cols = args_.cols - column_;
      Finish<1, 1>(products,
                   {c, args_.ldc, cols, args_.scales == nullptr ? nullptr : args_.scales + column_,
                    args_.bias == nullptr || !first_ ? nullptr : args_.bias + column_,
                    args_.accumulate || !first_});
      if (last_ && args_.activation != nullptr)
        Activate(*args_.activation, c, cols < kPanelWidth ? cols : kPanelWidth);
    }
  }

 private:
  const GemmArgs& args_;
  alignas(64) float tiles_[4][kTileSums];
  int row_ = 0, rows_ = 0, column_ = 0;
  bool first_ = false, last_ = false;
  int finished_ = 0;  // rows
};

// Rows [row, row + rows) by one panel; the tiles are configured for `rows`. kTwo: more than one
// tile of rows.
template <class Product, bool kTwo>
inline void Pass(const GemmArgs& args, int row, int rows, int panel_index, Ahead ahead,
                 PendingRows<Product>* sums) {
  const ptrdiff_t stride = Product::RowBytes(args);
  const int8_t* const x = Product::Rows(args) + row * stride;
  const auto* const panel =
      static_cast<const int8_t*>(args.panels) + panel_index * args.panel_bytes;
  const int bytes = Product::Bytes(args);
  const int column = panel_index * kPanelWidth;
  for (int start = 0; start < bytes; start += Product::kBlockBytes) {
    const int end = bytes - start < Product::kBlockBytes ? bytes : start + Product::kBlockBytes;
    const int steps = (end - start) / kTileBytes;
    const int rows_of_step = (kPassRows + steps - 1) / steps;
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kTwo) {
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int k = start; k < end; k += kTileBytes) {
      const int8_t* const lines = panel + k / 4 * kPanelLine;
      _tile_loadd(6, lines, kPanelLine);
      _tile_loadd(7, lines + kPanelLine / 2, kPanelLine);
      _tile_loadd(4, x + k, stride);
      if constexpr (kTwo) _tile_loadd(5, x + kTileLines * stride + k, stride);
      Product::template Add<kTwo>();
      for (ptrdiff_t byte = 0; byte < ahead.step; byte += 64) {
        for (int stream = 0; stream < kFetchStreams; ++stream)
          Fetch<64>(ahead.data + stream * ahead.stream + byte);
      }
      ahead.data += ahead.step;
      sums->FinishRows(rows_of_step);
    }
    sums->template Take<kTwo>(row, rows, column, start == 0, end == bytes);
  }
}

template <class Product>
void GemmOf(const GemmArgs& args) {
  const int panels = (args.cols + kPanelWidth - 1) / kPanelWidth;
  const int whole = args.rows / kPassRows * kPassRows;
  const int passes = (args.rows + kPassRows - 1) / kPassRows;
  // Every pass over a panel fetches its share of the next one.
  const ptrdiff_t stream = args.panel_bytes / kFetchStreams;
  const auto ahead = [&](int panel, int pass) {
    return Ahead{NextPanel(args, panel, panels) + stream * pass / passes, stream,
                 kTileLines * kPanelLine / kFetchStreams / passes};
  };
  PendingRows<Product> sums(args);
  if (whole > 0) {
    Configure(kPassRows);
    for (int p = 0; p < panels; ++p) {
      for (int row = 0; row < whole; row += kPassRows)
        Pass<Product, true>(args, row, kPassRows, p, ahead(p, row / kPassRows), &sums);
    }
  }
  if (const int rest = args.rows - whole; rest > 0) {
    Configure(rest);
    for (int p = 0; p < panels; ++p) {
      if (rest > kTileLines) {
        Pass<Product, true>(args, whole, rest, p, ahead(p, passes - 1), &sums);
      } else {
        Pass<Product, false>(args, whole, rest, p, ahead(p, passes - 1), &sums);
      }
    }
  }
  _tile_release();
  sums.FinishRows(kPassRows);
}

void Gemm(const GemmArgs& args) {
  switch (args.format) {
    case PanelFormat::kInt8:
      return GemmOf<Int8Product>(args);
    case PanelFormat::kBFloat16:
      return GemmOf<BFloat16Product>(args);
    case PanelFormat::kFloat32:
    case PanelFormat::kFloat16:
      return kAvx512Bf16Kernels.gemm(args);
  }
}

void RoundRowToPairs(const float* x, int n, float* y) {
  auto* const halves = reinterpret_cast<char*>(y);
  for (int i = 0; i < n; ++i) {
    const auto half = static_cast<uint16_t>(BFloat16Bits(x[i]) >> 16);
    std::memcpy(halves + i * sizeof(half), &half, sizeof(half));
  }
  const int padded = (n + kBFloat16PieceK - 1) / kBFloat16PieceK * kBFloat16PieceK;
  std::memset(halves + n * sizeof(uint16_t), 0, sizeof(uint16_t) * (padded - n));
}

}  // namespace

const KernelTable& AmxKernels() {
  static const KernelTable table = [] {
    KernelTable amx = kAvx512Bf16Kernels;
    amx.isa = Isa::kAmx;
    amx.name = "amx";
    amx.rounded_row_multiple = kPassRows;
    amx.bfloat16_layout = BFloat16Layout::kPairs;
    amx.bfloat16_multiple = kBFloat16PieceK;
    amx.int8_multiple = kTileBytes;
    amx.gemm = Gemm;
    amx.round_row = RoundRowToPairs;
    return amx;
  }();
  return table;
}

}  // namespace mellow::nn::kernels
