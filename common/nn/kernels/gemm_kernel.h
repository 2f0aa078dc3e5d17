// The matrix product. Included by the kernels_*.cc files only, after their simd_*.h.
//
// A register tile is R rows of x by P panels (2 vectors each); its accumulators run over one block
// of kBlockK. Few rows: one tile per step with several panels at once, so that one row has enough
// independent sums to hide the latency of FMA and several streams of weights in flight. Many rows:
// one panel at a time; its block stays in the first-level cache for all row tiles, the packed rows
// in the second-level cache for all panels. A block of bf16 is four times as long and stays in the
// second-level cache.
#ifndef MELLOW_COMMON_NN_KERNELS_GEMM_KERNEL_H_
#define MELLOW_COMMON_NN_KERNELS_GEMM_KERNEL_H_

#include <type_traits>

#include "common/nn/kernels/fetch_ahead.h"
#include "common/nn/kernels/kernel_table.h"
#include "common/nn/kernels/tile_output.h"

namespace mellow::nn::kernels {
namespace {

// From this many rows and panels on, x is packed for the tiles: with few panels a packed row is
// used too rarely to be worth it.
constexpr int kPackRows = 24;
constexpr int kPackPanels = 6;

// Where one tile's rows of x are: row r, column kk at data[r * row + kk * column].
struct TileInput {
  const float* data;
  ptrdiff_t row;
  ptrdiff_t column;
};

// A block of bfloat16 that was decoded.
struct WidenedBFloat16Panel : Float32Panel {};

#if defined(__AVX512BF16__)
template <class Panel>
constexpr bool kPairs = std::is_same_v<Panel, BFloat16PairPanel>;
#else
template <class Panel>
constexpr bool kPairs = false;
#endif
// Whether even and odd lines are summed apart.
template <class Panel>
constexpr bool kApart = kPairs<Panel> || std::is_same_v<Panel, BFloat16Panel> ||
                        std::is_same_v<Panel, WidenedBFloat16Panel>;
// Lines of a panel that are summed from zero.
template <class Panel>
constexpr int kBlockLines = (kApart<Panel> ? kPackedK : kBlockK) / (kPairs<Panel> ? 2 : 1);

// acc + a w, by pairs where the panel has pairs.
template <class Panel>
inline __attribute__((always_inline)) Vec MultiplyAdd(Vec a, Vec w, Vec acc) {
#if defined(__AVX512BF16__)
  if constexpr (kPairs<Panel>) return DotPairs(a, w, acc);
#endif
  return Fma(a, w, acc);
}

// acc = x[R, k] * panels[k, P * kPanelWidth] over every kEvery-th line from the first on. Fetches
// for every one `ahead.step` bytes of what is read next of each panel; with kAlone, where no other
// pass fetches a share, that is a whole line of the panel.
template <int R, int P, class Panel, int kEvery, bool kAlone>
inline __attribute__((always_inline)) void Sum(TileInput x, const typename Panel::Element* panel,
                                               ptrdiff_t panel_stride, int k, Ahead ahead,
                                               Vec (&acc)[R][2 * P]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int j = 0; j < 2 * P; ++j) acc[r][j] = Zero();
  }
  const auto add_line = [&](int kk, const char* fetched) __attribute__((always_inline)) {
    Vec w[2 * P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const typename Panel::Element* line = panel + p * panel_stride + ptrdiff_t{kk} * kPanelWidth;
      w[2 * p] = Panel::Get(line);
      w[2 * p + 1] = Panel::Get(line + kLanes);
      const char* of_panel = fetched + p * panel_stride * static_cast<ptrdiff_t>(sizeof(*line));
      if constexpr (kNear<P>) {
        FetchNear(of_panel);
      } else {
        Fetch<kAlone ? kPanelWidth * sizeof(*line) : 1>(of_panel);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec a = Set1(x.data[r * x.row + kk * x.column]);
#pragma GCC unroll 8
      for (int j = 0; j < 2 * P; ++j) acc[r][j] = MultiplyAdd<Panel>(a, w[j], acc[r][j]);
    }
  };
  constexpr int kStreams = kStreamsOf<P>;
  constexpr int kUnroll = 4;
  int kk = 0;
  for (; kk + (kUnroll - 1) * kEvery < k; kk += kUnroll * kEvery) {
#pragma GCC unroll 4
    for (int i = 0; i < kUnroll; ++i) {
      add_line(kk + i * kEvery,
               ahead.data + i % kStreams * ahead.stream + i / kStreams * kEvery * ahead.step);
    }
    ahead.data += kUnroll / kStreams * kEvery * ahead.step;
  }
  for (; kk < k; kk += kEvery) add_line(kk, ahead.data);
}

// The product of a block, in the order that the panel's format has.
template <int R, int P, class Panel, bool kAlone>
inline __attribute__((always_inline)) void Multiply(TileInput x,
                                                    const typename Panel::Element* panel,
                                                    ptrdiff_t panel_stride, int k, Ahead ahead,
                                                    Vec (&acc)[R][2 * P]) {
  if constexpr (!kApart<Panel>) {
    Sum<R, P, Panel, 1, kAlone>(x, panel, panel_stride, k, ahead, acc);
  } else {
    constexpr int kPiece = kBFloat16PieceK / (kPairs<Panel> ? 2 : 1);
    for (int r = 0; r < R; ++r) {
      for (int j = 0; j < 2 * P; ++j) acc[r][j] = Zero();
    }
    for (int start = 0; start < k; start += kPiece) {
      const int lines = k - start < kPiece ? k - start : kPiece;
      const char* const fetched = ahead.data + start / kStreamsOf<P> * ahead.step;
      Vec even[R][2 * P], odd[R][2 * P];
      Sum<R, P, Panel, 2, kAlone>({x.data + start * x.column, x.row, x.column},
                                  panel + ptrdiff_t{start} * kPanelWidth, panel_stride, lines,
                                  {fetched, ahead.stream, ahead.step}, even);
      Sum<R, P, Panel, 2, kAlone>({x.data + (start + 1) * x.column, x.row, x.column},
                                  panel + ptrdiff_t{start + 1} * kPanelWidth, panel_stride,
                                  lines - 1, {fetched + ahead.step, ahead.stream, ahead.step}, odd);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int j = 0; j < 2 * P; ++j) acc[r][j] = Add(acc[r][j], Add(even[r][j], odd[r][j]));
      }
    }
  }
}

// --- few rows
// -------------------------------------------------------------------------------------------------

template <int R, int P, class Panel>
inline __attribute__((always_inline)) void NarrowStep(const GemmArgs& args, int first_panel,
                                                      bool last) {
  using Element = typename Panel::Element;
  constexpr ptrdiff_t kLine = kPanelWidth * sizeof(Element);
  const ptrdiff_t stride = args.panel_bytes / static_cast<ptrdiff_t>(sizeof(Element));
  const Element* panel = static_cast<const Element*>(args.panels) + first_panel * stride;
  const int column = first_panel * kPanelWidth;
  constexpr int kBlock = kBlockLines<Panel>;
  for (int k0 = 0; k0 < args.k; k0 += kBlock) {
    const int kc = args.k - k0 < kBlock ? args.k - k0 : kBlock;
    const Element* block = panel + ptrdiff_t{k0} * kPanelWidth;
    const Element* next = kNear<P>           ? block + kNearBytes / sizeof(Element)
                          : k0 + kc < args.k ? block + ptrdiff_t{kc} * kPanelWidth
                          : last             ? block
                                             : panel + P * stride;
    Vec acc[R][2 * P];
    Multiply<R, P, Panel, true>(
        {args.a + k0, args.lda, 1}, block, stride, kc,
        {reinterpret_cast<const char*>(next), kBlock * kLine / kStreamsOf<P>, kLine}, acc);
    Finish<R, P>(acc, {args.c + column, args.ldc, args.cols - column,
                       args.scales == nullptr ? nullptr : args.scales + column,
                       args.bias == nullptr || k0 > 0 ? nullptr : args.bias + column,
                       args.accumulate || k0 > 0});
  }
}

// Panels side by side for a tile of R rows: as many as leave all sums in registers.
template <int R>
constexpr int NarrowPanels() {
  constexpr int kPairs = (kTileRows + 1) * 2 / 2;  // accumulator pairs that fit
  return R * 4 <= kPairs ? 4 : R * 2 <= kPairs ? 2 : 1;
}

template <int R, class Panel>
__attribute__((noinline)) void NarrowRows(const GemmArgs& args) {
  constexpr int P = NarrowPanels<R>();
  const int panels = (args.cols + kPanelWidth - 1) / kPanelWidth;
  int p = 0;
  for (; p + P <= panels; p += P) NarrowStep<R, P, Panel>(args, p, p + P == panels);
  if constexpr (P > 1) {
    for (; p < panels; ++p) NarrowStep<R, 1, Panel>(args, p, p + 1 == panels);
  }
}

template <class Panel, int R = kTileRows>
void Narrow(const GemmArgs& args) {
  if constexpr (R > 0) {
    if (args.rows == R) return NarrowRows<R, Panel>(args);
    Narrow<Panel, R - 1>(args);
  }
}

// --- many rows
// ------------------------------------------------------------------------------------------------

template <int R, class Panel>
__attribute__((noinline)) void WideTile(const TileInput& x, const float* block, int k,
                                        const Ahead& ahead, const TileOutput& out) {
  Vec acc[R][2];
  Multiply<R, 1, Panel, false>(x, block, 0, k, ahead, acc);
  Finish<R, 1>(acc, out);
}
// With R rows of x interleaved: constant strides.
template <int R, class Panel>
__attribute__((noinline)) void WidePackedTile(const float* x, const float* block, int k,
                                              const Ahead& ahead, const TileOutput& out) {
  Vec acc[R][2];
  Multiply<R, 1, Panel, false>({x, 1, R}, block, 0, k, ahead, acc);
  Finish<R, 1>(acc, out);
}

template <class Panel, int R = kTileRows>
inline void RunWideTile(int rows, const TileInput& x, bool packed, const float* block, int k,
                        const Ahead& ahead, const TileOutput& out) {
  if constexpr (R > 0) {
    if (rows == R) {
      if (packed) return WidePackedTile<R, Panel>(x.data, block, k, ahead, out);
      return WideTile<R, Panel>(x, block, k, ahead, out);
    }
    RunWideTile<Panel, R - 1>(rows, x, packed, block, k, ahead, out);
  }
}

// Rows [start, start + count) of tile t when `rows` are spread evenly over `tiles`.
inline int TileStart(int t, int rows, int tiles) { return t * rows / tiles; }

// packed[k][R] of rows of x.
template <int R = kTileRows>
inline void PackTile(const float* a, ptrdiff_t lda, int rows, int k, float* packed) {
  if constexpr (R > 0) {
    if (rows < R) return PackTile<R - 1>(a, lda, rows, k, packed);
    for (int kk = 0; kk < k; ++kk) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) packed[kk * R + r] = a[r * lda + kk];
    }
  }
}

// packed: for each block of k, for each tile, [k][rows of the tile].
inline void PackRows(const float* a, ptrdiff_t lda, int rows, int tiles, int k, int block,
                     float* packed) {
  for (int k0 = 0; k0 < k; k0 += block) {
    const int kc = k - k0 < block ? k - k0 : block;
    for (int t = 0; t < tiles; ++t) {
      const int start = TileStart(t, rows, tiles);
      const int count = TileStart(t + 1, rows, tiles) - start;
      PackTile(a + start * lda + k0, lda, count, kc, packed);
      packed += ptrdiff_t{count} * kc;
    }
  }
}

template <class Panel>
void Wide(const GemmArgs& args) {
  using Element = typename Panel::Element;
  constexpr bool kDecode = sizeof(Element) != sizeof(float);
  using Widened = std::conditional_t<kApart<Panel>, WidenedBFloat16Panel, Float32Panel>;
  using TilePanel = std::conditional_t<kDecode, Widened, Panel>;
  constexpr int kBlock = kBlockLines<Panel>;
  const int tiles = (args.rows + kTileRows - 1) / kTileRows;
  const int panels = (args.cols + kPanelWidth - 1) / kPanelWidth;
  const bool pack = args.rows >= kPackRows && panels >= kPackPanels;
  float* packed = args.workspace;
  float* decoded = args.workspace + size_t{kMaxGemmRows} * kPackedK;
  // Every tile pass over a block fetches its share of the next block from memory.
  const ptrdiff_t line = kPanelWidth * sizeof(Element);
  const ptrdiff_t step = line / tiles;
  constexpr int kSuper = kPackedK / (kPairs<Panel> ? 2 : 1);
  for (int super = 0; super < args.k; super += kSuper) {
    const int super_k = args.k - super < kSuper ? args.k - super : kSuper;
    if (pack) {
      PackRows(args.a + super, args.lda, args.rows, tiles, super_k, kBlock, packed);
    }
    for (int p = 0; p < panels; ++p) {
      const Element* panel = static_cast<const Element*>(args.panels) +
                             p * (args.panel_bytes / static_cast<ptrdiff_t>(sizeof(Element))) +
                             ptrdiff_t{super} * kPanelWidth;
      const int column = p * kPanelWidth;
      for (int k0 = 0; k0 < super_k; k0 += kBlock) {
        const int kc = super_k - k0 < kBlock ? super_k - k0 : kBlock;
        const Element* encoded = panel + ptrdiff_t{k0} * kPanelWidth;
        const float* block;
        if constexpr (kDecode) {
          for (int i = 0; i < kc * 2; ++i)
            Store(decoded + i * kLanes, Panel::Get(encoded + i * kLanes));
          block = decoded;
        } else {
          block = encoded;
        }
        const bool last = p + 1 == panels && super + k0 + kc == args.k;
        const auto* next =
            reinterpret_cast<const char*>(last ? encoded : encoded + ptrdiff_t{kc} * kPanelWidth);
        const bool first = super + k0 == 0;
        for (int t = 0; t < tiles; ++t) {
          const int start = TileStart(t, args.rows, tiles);
          const int count = TileStart(t + 1, args.rows, tiles) - start;
          const TileInput x =
              pack ? TileInput{packed + ptrdiff_t{args.rows} * k0 + ptrdiff_t{start} * kc, 1, count}
                   : TileInput{args.a + start * args.lda + super + k0, args.lda, 1};
          const TileOutput out{args.c + start * args.ldc + column,
                               args.ldc,
                               args.cols - column,
                               args.scales == nullptr ? nullptr : args.scales + column,
                               args.bias == nullptr || !first ? nullptr : args.bias + column,
                               args.accumulate || !first};
          RunWideTile<TilePanel>(
              count, x, pack, block, kc,
              {next + kc * step * t / kFetchStreams, kBlock * line / kFetchStreams, step}, out);
        }
      }
    }
  }
}

template <class Panel>
void GemmWith(const GemmArgs& args) {
  if (args.rows <= kTileRows) {
    Narrow<Panel>(args);
  } else {
    Wide<Panel>(args);
  }
}

// --- a right side that is used once
// ------------------------------------------------------------------------------------------------

// packed[k][R] of R rows of a transposed matrix.
template <int R = kTileRows>
inline void PackTransposedTile(const float* a, ptrdiff_t lda, int rows, int k, float* packed) {
  if constexpr (R > 0) {
    if (rows < R) return PackTransposedTile<R - 1>(a, lda, rows, k, packed);
    for (int kk = 0; kk < k; ++kk) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) packed[kk * R + r] = a[kk * lda + r];
    }
  }
}

// block[k][kPanelWidth] of `cols` columns of b, zeros behind them.
inline void CopyPanel(const float* b, ptrdiff_t ldb, int cols, int k, float* block) {
  if (cols >= kPanelWidth) {
    for (int kk = 0; kk < k; ++kk) {
      Store(block + kk * kPanelWidth, Load(b + kk * ldb));
      Store(block + kk * kPanelWidth + kLanes, Load(b + kk * ldb + kLanes));
    }
    return;
  }
  const int first = cols < kLanes ? cols : kLanes;
  const int second = cols - first;
  for (int kk = 0; kk < k; ++kk) {
    const float* row = b + kk * ldb;
    float* const line = block + kk * kPanelWidth;
    Store(line, first == kLanes ? Load(row) : LoadTail(row, first));
    Store(line + kLanes, second > 0 ? LoadTail(row + kLanes, second) : Zero());
  }
}

void GemmRows(const GemmRowsArgs& args) {
  const int tiles = (args.rows + kTileRows - 1) / kTileRows;
  const bool pack = args.a_transposed || args.cols >= kPackPanels * kPanelWidth;
  float* const packed = args.workspace;
  float* const block = args.workspace + size_t{kMaxGemmRows} * kPackedK;
  for (int k0 = 0; k0 < args.k; k0 += kBlockK) {
    const int kc = args.k - k0 < kBlockK ? args.k - k0 : kBlockK;
    for (int t = 0; pack && t < tiles; ++t) {
      const int start = TileStart(t, args.rows, tiles);
      const int count = TileStart(t + 1, args.rows, tiles) - start;
      float* const tile = packed + ptrdiff_t{start} * kc;
      if (args.a_transposed) {
        PackTransposedTile(args.a + k0 * args.lda + start, args.lda, count, kc, tile);
      } else {
        PackTile(args.a + start * args.lda + k0, args.lda, count, kc, tile);
      }
    }
    for (int column = 0; column < args.cols; column += kPanelWidth) {
      CopyPanel(args.b + k0 * args.ldb + column, args.ldb, args.cols - column, kc, block);
      for (int t = 0; t < tiles; ++t) {
        const int start = TileStart(t, args.rows, tiles);
        const int count = TileStart(t + 1, args.rows, tiles) - start;
        const TileOutput out{
            args.c + start * args.ldc + column, args.ldc, args.cols - column, nullptr, nullptr,
            args.accumulate || k0 > 0};
        const TileInput a = pack ? TileInput{packed + ptrdiff_t{start} * kc, 1, count}
                                 : TileInput{args.a + start * args.lda + k0, args.lda, 1};
        RunWideTile<Float32Panel>(count, a, pack, block, kc,
                                  {reinterpret_cast<const char*>(block), 0, 0}, out);
      }
    }
  }
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_GEMM_KERNEL_H_
