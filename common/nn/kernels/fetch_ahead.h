// How weights come from memory while products of others are computed. Included by the kernels_*.cc
// files only.
//
// A core waits for few lines at once (its fill buffers: 16 x 64 bytes / 82 ns is 12.5 GB/s on a
// Sapphire Rapids), and its second-level cache fetches further ones by itself, of the page that it
// sees read in order. So the next block is fetched in several places at once, each in another page,
// into the second-level cache: 15 GB/s, which is all that memory gives that core. With four panels
// side by side there are as many places already, and little to compute between two lines: there
// what comes soon is fetched into the first-level cache.
#ifndef MELLOW_COMMON_NN_KERNELS_FETCH_AHEAD_H_
#define MELLOW_COMMON_NN_KERNELS_FETCH_AHEAD_H_

#include <cstddef>

#include "common/nn/kernels/kernel_table.h"

namespace mellow::nn::kernels {
namespace {

constexpr int kFetchStreams = 4;
// Of each of P panels that are read side by side.
template <int P>
constexpr int kStreamsOf = P >= kFetchStreams ? 1 : kFetchStreams / P;
template <int P>
constexpr bool kNear = P >= kFetchStreams;
constexpr ptrdiff_t kNearBytes = 1024;  // from what is read to what is fetched

// What a pass over a block fetches.
struct Ahead {
  const char* data;  // where it begins in the first stream
  ptrdiff_t stream;  // bytes from a stream to the next
  ptrdiff_t step;    // bytes for each line of the pass
};

// What follows a panel: for the last one itself, which costs nothing.
inline const char* NextPanel(const GemmArgs& args, int panel, int panels) {
  return static_cast<const char*>(args.panels) +
         (panel + 1 < panels ? panel + 1 : panel) * args.panel_bytes;
}

// The cache lines of so many bytes. An address that is nobody's does no harm.
template <int kBytes>
inline __attribute__((always_inline)) void Fetch(const char* address) {
#pragma GCC unroll 4
  for (int byte = 0; byte < kBytes; byte += 64) __builtin_prefetch(address + byte, 0, 2);
}
inline __attribute__((always_inline)) void FetchNear(const char* address) {
  __builtin_prefetch(address);
}

}  // namespace
}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_FETCH_AHEAD_H_
