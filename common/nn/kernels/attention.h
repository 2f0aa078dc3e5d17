#ifndef MELLOW_COMMON_NN_KERNELS_ATTENTION_H_
#define MELLOW_COMMON_NN_KERNELS_ATTENTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/nn/kernels/aligned_buffer.h"
#include "common/nn/kernels/kernel_table.h"
#include "common/nn/kernels/packed_matrix.h"

namespace mellow::nn::kernels {

// How keys and values of one head lie in memory: chunks of kPositions, in each the keys as panels
// of positions and the values as panels of dimensions, both as Gemm wants them. So the products of
// attention run on the same kernel as everything else, for one query and for many, and in the same
// order of sums.
class KvLayout {
 public:
  static constexpr int kPositions = 64;

  // `kernels` outlives it.
  KvLayout(const KernelTable& kernels, int head_dim);
  // Floats of one head in one chunk.
  size_t head_floats() const { return key_floats_ + value_floats_; }
  size_t key_floats() const { return key_floats_; }
  int head_dim() const { return head_dim_; }
  ptrdiff_t key_panel_bytes() const { return key_panel_bytes_; }
  ptrdiff_t value_panel_bytes() const { return value_panel_bytes_; }

  // Writes `count` positions of one head from `first` (within the chunk) on, in rising order: k and
  // v point at its first dimension. The first position of a panel of keys clears the rest of it,
  // and lines of values are filled up with zeros: what is left is multiplied as well, and arbitrary
  // memory can be subnormal numbers, each of which costs a hundred times as much.
  void Write(ConstRows k, ConstRows v, int first, int count, float* head_chunk) const;
  void WriteKeys(ConstRows k, int first, int count, float* head_chunk) const;
  // Copies the first `count` positions of one head's chunk.
  void Copy(const float* from, int count, float* to) const;

 private:
  const KernelTable& kernels_;
  int width_;
  int head_dim_;
  size_t key_floats_;
  size_t value_floats_;
  ptrdiff_t key_panel_bytes_;
  ptrdiff_t value_panel_bytes_;
};

// Chunks of one size, kept for the next sequence when one is done with them: a chunk is megabytes,
// and getting fresh pages from the system for every request costs as much as a fifth of the
// encoder. Thread-safe.
class KvChunkPool {
 public:
  explicit KvChunkPool(size_t chunk_floats);
  // Contents are undefined. Goes back when the last owner lets go of it, which may be after the
  // pool is gone.
  [[nodiscard]] std::shared_ptr<FloatBuffer> Take();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Keys and values of one sequence for all layers and heads of a decoder. Grows by chunks; copies
// share chunks until one of them writes. Not thread-safe, but different heads and layers may be
// written at the same time.
class KvCache {
 public:
  // `layout` and `pool` (of layers * heads * layout->head_floats()) outlive the cache.
  KvCache(const KvLayout* layout, KvChunkPool* pool, int layers, int heads)
      : layout_(layout), pool_(pool), layers_(layers), heads_(heads) {}

  int size() const { return size_; }
  // Makes positions [size(), size() + count) writable.
  void Reserve(int count);
  void Write(int layer, int head, ConstRows k, ConstRows v, int first, int count);
  void Advance(int count) { size_ += count; }

  // Chunk c of a head.
  const float* head(int layer, int head, int chunk) const {
    return chunks_[chunk]->data() + Offset(layer, head);
  }

 private:
  size_t Offset(int layer, int head) const {
    return (size_t{1} * layer * heads_ + head) * layout_->head_floats();
  }

  const KvLayout* layout_;
  KvChunkPool* pool_;
  int layers_;
  int heads_;
  int size_ = 0;
  std::vector<std::shared_ptr<FloatBuffer>> chunks_;
};

struct AttentionArgs {
  ConstRows q;  // of this head
  int queries = 0;
  int keys = 0;  // of the sequence; with `causal`, query i sees the first keys - queries + 1 + i
  bool causal = false;
  // Not causal: the position of the first query among the keys. Not for AttendBackward.
  int first_query = 0;
  float scale = 1;  // of q k^T
  // T5's relative position bias of this head: the score of query i and key j gets bias[j - i -
  // (keys - queries if causal, else first_query)].
  const float* bias = nullptr;
  // With `bias`, not causal: where the keys, and so the queries, stand, instead of at 0, 1, 2, ...
  // Not for AttendBackward.
  const int32_t* positions = nullptr;
  // When set, called for each query with its probabilities over the keys that it sees: dropout.
  std::function<void(int query, float* probabilities, int keys)> drop;
  Rows out;  // of this head
};

// One head of one sequence; chunks[c] is KvLayout's chunk c.
void Attend(const KernelTable& kernels, const KvLayout& layout, const float* const* chunks,
            const AttentionArgs& args);
void Attend(const KernelTable& kernels, const KvLayout& layout, const KvCache& cache, int layer,
            int head, const AttentionArgs& args);

// As Attend over keys and values that are used once: lays them out in this thread's scratch first.
void AttendOnce(const KernelTable& kernels, const KvLayout& layout, ConstRows k, ConstRows v,
                const AttentionArgs& args);

// The gradients of AttendOnce's q, k and v from that of its output; probabilities are computed
// again, a block of queries at a time. args.out is not used.
struct AttentionGradients {
  ConstRows d_out;  // of this head
  Rows dq, dk, dv;  // written
};
void AttendBackward(const KernelTable& kernels, const KvLayout& layout, ConstRows k, ConstRows v,
                    const AttentionArgs& args, const AttentionGradients& gradients);

}  // namespace mellow::nn::kernels

#endif  // MELLOW_COMMON_NN_KERNELS_ATTENTION_H_
