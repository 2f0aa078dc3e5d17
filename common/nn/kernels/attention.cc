#include "common/nn/kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "common/sync/mutex.h"

namespace mellow::nn::kernels {
namespace {

constexpr int kPositions = KvLayout::kPositions;

int Chunks(int positions) { return (positions + kPositions - 1) / kPositions; }

}  // namespace

KvLayout::KvLayout(const KernelTable& kernels, int head_dim)
    : kernels_(kernels), width_(kernels.panel_width), head_dim_(head_dim) {
  static_assert(kPositions % 32 == 0, "whole panels of every instruction set");
  key_floats_ = size_t{kPositions} * head_dim;
  value_floats_ = size_t{kPositions} * ((head_dim + width_ - 1) / width_) * width_;
  key_panel_bytes_ = ptrdiff_t{head_dim} * width_ * static_cast<ptrdiff_t>(sizeof(float));
  value_panel_bytes_ = ptrdiff_t{kPositions} * width_ * static_cast<ptrdiff_t>(sizeof(float));
}

void KvLayout::WriteKeys(ConstRows k, int first, int count, float* head_chunk) const {
  for (int done = 0; done < count;) {
    const int position = first + done;
    const int column = position % width_;
    const int keys = std::min(count - done, width_ - column);  // of this panel
    const float* const key = k.data + done * k.stride;
    float* const panel = head_chunk + static_cast<size_t>(position - column) * head_dim_;
    if (column == 0) {
      kernels_.pack_panel(key, k.stride, keys, head_dim_, panel);
    } else {
      for (int i = 0; i < keys; ++i) {
        for (int d = 0; d < head_dim_; ++d)
          panel[ptrdiff_t{d} * width_ + column + i] = key[i * k.stride + d];
      }
    }
    done += keys;
  }
}

void KvLayout::Write(ConstRows k, ConstRows v, int first, int count, float* head_chunk) const {
  WriteKeys(k, first, count, head_chunk);
  const auto width = static_cast<size_t>(width_);
  for (int i = 0; i < count; ++i) {
    const int position = first + i;
    const float* value = v.data + i * v.stride;
    for (int d = 0; d < head_dim_; d += width_) {
      float* line =
          head_chunk + key_floats_ + static_cast<size_t>(d) * kPositions + position * width;
      const int used = std::min(width_, head_dim_ - d);
      std::memcpy(line, value + d, sizeof(float) * used);
      std::fill_n(line + used, width_ - used, 0.0f);
    }
  }
}

void KvLayout::Copy(const float* from, int count, float* to) const {
  const size_t panels = (count + width_ - 1) / width_;
  std::memcpy(to, from, panels * width_ * head_dim_ * sizeof(float));
  const auto panel_floats = static_cast<size_t>(kPositions) * width_;
  for (size_t start = key_floats_; start < head_floats(); start += panel_floats) {
    std::memcpy(to + start, from + start, static_cast<size_t>(count) * width_ * sizeof(float));
  }
}

struct KvChunkPool::State {
  size_t chunk_floats;
  size_t most;  // free chunks that are kept
  Mutex mutex;
  std::vector<std::unique_ptr<FloatBuffer>> free ABSL_GUARDED_BY(mutex);
};

KvChunkPool::KvChunkPool(size_t chunk_floats) : state_(std::make_shared<State>()) {
  constexpr size_t kMostFreeBytes = size_t{1} << 30;
  state_->chunk_floats = chunk_floats;
  state_->most = kMostFreeBytes / (chunk_floats * sizeof(float) + 1);
}

std::shared_ptr<FloatBuffer> KvChunkPool::Take() {
  std::unique_ptr<FloatBuffer> chunk;
  {
    MutexLock lock(&state_->mutex);
    if (!state_->free.empty()) {
      chunk = std::move(state_->free.back());
      state_->free.pop_back();
    }
  }
  if (chunk == nullptr) chunk = std::make_unique<FloatBuffer>(state_->chunk_floats);
  return std::shared_ptr<FloatBuffer>(chunk.release(), [state = state_](FloatBuffer* returned) {
    std::unique_ptr<FloatBuffer> owned(returned);
    MutexLock lock(&state->mutex);
    if (state->free.size() >= state->most) return;
    try {
      state->free.push_back(std::move(owned));
    } catch (const std::bad_alloc&) {  // then it is not kept
    }
  });
}

void KvCache::Reserve(int count) {
  const size_t floats = Offset(layers_, 0);
  const int needed = Chunks(size_ + count);
  // A shared chunk is about to be written to: only the last one can be, the others are full.
  if (size_ % kPositions != 0 && count > 0) {
    std::shared_ptr<FloatBuffer>& last = chunks_[size_ / kPositions];
    if (last.use_count() > 1) {
      auto copy = pool_->Take();
      for (size_t head = 0; head < floats; head += layout_->head_floats()) {
        layout_->Copy(last->data() + head, size_ % kPositions, copy->data() + head);
      }
      last = std::move(copy);
    }
  }
  while (static_cast<int>(chunks_.size()) < needed) chunks_.push_back(pool_->Take());
}

void KvCache::Write(int layer, int head, ConstRows k, ConstRows v, int first, int count) {
  for (int done = 0; done < count;) {
    const int position = first + done;
    const int within = position % kPositions;
    const int step = std::min(count - done, kPositions - within);
    layout_->Write({k.data + done * k.stride, k.stride}, {v.data + done * v.stride, v.stride},
                   within, step, chunks_[position / kPositions]->data() + Offset(layer, head));
    done += step;
  }
}

void Attend(const KernelTable& kernels, const KvLayout& layout, const float* const* chunks,
            const AttentionArgs& args) {
  static thread_local FloatBuffer scores_buffer;
  float* const workspace = GemmWorkspace();
  // The position of the first query.
  const int before = args.causal ? args.keys - args.queries : args.first_query;
  const int block = kMaxGemmRows / kernels.tile_rows * kernels.tile_rows;
  const int stride = Chunks(args.keys) * kPositions;
  for (int start = 0; start < args.queries; start += block) {
    const int rows = std::min(block, args.queries - start);
    const int keys = args.causal ? before + start + rows : args.keys;  // seen by any of these
    float* const scores = scores_buffer.Reserve(static_cast<size_t>(rows) * stride);

    GemmArgs gemm;
    gemm.rows = rows;
    gemm.workspace = workspace;
    gemm.a = args.q.data + start * args.q.stride;
    gemm.lda = args.q.stride;
    gemm.k = layout.head_dim();
    gemm.panel_bytes = layout.key_panel_bytes();
    gemm.ldc = stride;
    for (int c = 0; c < Chunks(keys); ++c) {
      gemm.panels = chunks[c];
      gemm.cols = std::min(kPositions, keys - c * kPositions);
      gemm.c = scores + c * kPositions;
      kernels.gemm(gemm);
    }

    for (int i = 0; i < rows; ++i) {
      const int query = start + i;
      const int seen = args.causal ? before + query + 1 : args.keys;
      float* row = scores + static_cast<size_t>(i) * stride;
      if (args.scale != 1.0f) kernels.scale(args.scale, seen, row);
      if (args.positions != nullptr) {
        const float* const here = args.bias - args.positions[before + query];
        for (int j = 0; j < seen; ++j) row[j] += here[args.positions[j]];
      } else if (args.bias != nullptr) {
        kernels.add(args.bias - (before + query), seen, row);
      }
      kernels.softmax(row, seen);
      if (args.drop) args.drop(query, row, seen);
      std::fill(row + seen, row + keys, 0.0f);
    }

    gemm.lda = stride;
    gemm.panel_bytes = layout.value_panel_bytes();
    gemm.cols = layout.head_dim();
    gemm.c = args.out.data + start * args.out.stride;
    gemm.ldc = args.out.stride;
    for (int c = 0; c < Chunks(keys); ++c) {
      gemm.a = scores + c * kPositions;
      gemm.k = std::min(kPositions, keys - c * kPositions);
      gemm.panels = chunks[c] + layout.key_floats();
      gemm.accumulate = c > 0;
      kernels.gemm(gemm);
    }
  }
}

void Attend(const KernelTable& kernels, const KvLayout& layout, const KvCache& cache, int layer,
            int head, const AttentionArgs& args) {
  static thread_local std::vector<const float*> chunks;
  chunks.resize(Chunks(args.keys));
  for (size_t c = 0; c < chunks.size(); ++c)
    chunks[c] = cache.head(layer, head, static_cast<int>(c));
  Attend(kernels, layout, chunks.data(), args);
}

void AttendOnce(const KernelTable& kernels, const KvLayout& layout, ConstRows k, ConstRows v,
                const AttentionArgs& args) {
  static thread_local FloatBuffer buffer;
  static thread_local std::vector<const float*> chunks;
  const int count = Chunks(args.keys);
  float* const data = buffer.Reserve(count * layout.head_floats());
  chunks.resize(count);
  for (int c = 0; c < count; ++c) {
    const ptrdiff_t first = ptrdiff_t{c} * kPositions;
    float* const chunk = data + c * layout.head_floats();
    layout.Write({k.data + first * k.stride, k.stride}, {v.data + first * v.stride, v.stride}, 0,
                 std::min(kPositions, args.keys - static_cast<int>(first)), chunk);
    chunks[c] = chunk;
  }
  Attend(kernels, layout, chunks.data(), args);
}

// With P = softmax(s q k^T + bias), D the factors of dropout and out = (P D) v:
//   dv = (P D)^T d_out;  dP = D (d_out v^T);  dS = P (dP - rowsum(P dP));
//   dq = s dS k;  dk = s dS^T q.
void AttendBackward(const KernelTable& kernels, const KvLayout& layout, ConstRows k, ConstRows v,
                    const AttentionArgs& args, const AttentionGradients& gradients) {
  static thread_local FloatBuffer panels_buffer, scores_buffer;
  const int head_dim = layout.head_dim();
  const int chunks = Chunks(args.keys);
  const size_t chunk_floats = layout.key_floats();
  float* const panels = panels_buffer.Reserve(2 * chunks * chunk_floats);
  float* const value_panels = panels + chunks * chunk_floats;
  for (int c = 0; c < chunks; ++c) {
    const ptrdiff_t first = ptrdiff_t{c} * kPositions;
    const int count = std::min(kPositions, args.keys - static_cast<int>(first));
    layout.WriteKeys({k.data + first * k.stride, k.stride}, 0, count, panels + c * chunk_floats);
    layout.WriteKeys({v.data + first * v.stride, v.stride}, 0, count,
                     value_panels + c * chunk_floats);
  }
  for (int key = 0; key < args.keys; ++key) {
    std::fill_n(gradients.dk.data + key * gradients.dk.stride, head_dim, 0.0f);
    std::fill_n(gradients.dv.data + key * gradients.dv.stride, head_dim, 0.0f);
  }
  // Part of the meaning of a result: dk and dv are sums over blocks of this many queries.
  constexpr int kBlock = kMaxGemmRows;
  const int stride = chunks * kPositions;
  const size_t block_floats = size_t{kBlock} * stride;
  float* const p = scores_buffer.Reserve(3 * block_floats);
  float* const ds = p + block_floats;
  float* const dropped = ds + block_floats;
  const int before = args.causal ? args.keys - args.queries : 0;  // position of the first query
  for (int start = 0; start < args.queries; start += kBlock) {
    const int rows = std::min(kBlock, args.queries - start);
    const int keys = args.causal ? before + start + rows : args.keys;  // seen by any of these
    const float* const q = args.q.data + start * args.q.stride;
    const float* const d_out = gradients.d_out.data + start * gradients.d_out.stride;

    GemmArgs gemm;
    gemm.rows = rows;
    gemm.workspace = GemmWorkspace();
    gemm.k = head_dim;
    gemm.panel_bytes = layout.key_panel_bytes();
    gemm.ldc = stride;
    gemm.cols = keys;
    gemm.a = q;
    gemm.lda = args.q.stride;
    gemm.panels = panels;
    gemm.c = p;
    kernels.gemm(gemm);
    gemm.a = d_out;
    gemm.lda = gradients.d_out.stride;
    gemm.panels = value_panels;
    gemm.c = ds;
    kernels.gemm(gemm);
    for (int i = 0; i < rows; ++i) {
      const int query = start + i;
      const int seen = args.causal ? before + query + 1 : args.keys;
      float* const p_row = p + static_cast<size_t>(i) * stride;
      float* const ds_row = ds + static_cast<size_t>(i) * stride;
      if (args.scale != 1.0f) kernels.scale(args.scale, seen, p_row);
      if (args.bias != nullptr) kernels.add(args.bias - (before + query), seen, p_row);
      kernels.softmax(p_row, seen);
      if (args.drop) {
        float* const dropped_row = dropped + static_cast<size_t>(i) * stride;
        std::copy(p_row, p_row + seen, dropped_row);
        args.drop(query, dropped_row, seen);
        std::fill(dropped_row + seen, dropped_row + keys, 0.0f);
        args.drop(query, ds_row, seen);
      }
      kernels.softmax_backward(p_row, seen, ds_row);
      if (args.scale != 1.0f) kernels.scale(args.scale, seen, ds_row);
      std::fill(p_row + seen, p_row + keys, 0.0f);
      std::fill(ds_row + seen, ds_row + keys, 0.0f);
    }

    GemmRowsArgs product;
    product.workspace = GemmWorkspace();
    product.cols = head_dim;
    product.a = ds;
    product.lda = stride;
    product.rows = rows;
    product.k = keys;
    product.b = k.data;
    product.ldb = k.stride;
    product.c = gradients.dq.data + start * gradients.dq.stride;
    product.ldc = gradients.dq.stride;
    kernels.gemm_rows(product);

    product.a_transposed = true;
    product.accumulate = true;
    product.k = rows;
    constexpr int kKeys = kMaxGemmRows * kPackedK / kBlockK;  // of one product
    for (int first = 0; first < keys; first += kKeys) {
      product.rows = std::min(kKeys, keys - first);
      const auto add = [&](const float* a, const float* b, ptrdiff_t ldb, Rows out) {
        product.a = a + first;
        product.b = b;
        product.ldb = ldb;
        product.c = out.data + first * out.stride;
        product.ldc = out.stride;
        kernels.gemm_rows(product);
      };
      add(args.drop ? dropped : p, d_out, gradients.d_out.stride, gradients.dv);
      add(ds, q, args.q.stride, gradients.dk);
    }
  }
}

}  // namespace mellow::nn::kernels
