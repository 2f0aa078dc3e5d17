#ifndef MELLOW_COMMON_NN_TORCH_POSITION_BIAS_H_
#define MELLOW_COMMON_NN_TORCH_POSITION_BIAS_H_

#include <ATen/ATen.h>

#include <vector>

#include "common/nn/t5_config.h"

namespace mellow::nn {

// T5's relative position bias of a layer, added to the attention scores: [heads, n, n] for queries
// and keys at positions 0..n-1, with -inf above the diagonal when causal. It depends on the length
// only, so the largest so far is kept and shorter ones are its corners. Not thread-safe.
class PositionBias {
 public:
  // table: [buckets, heads].
  PositionBias(const T5Config& config, at::Tensor table, bool causal);

  // A view, [heads, n, n].
  [[nodiscard]] at::Tensor Get(int64_t n);

 private:
  void Grow(int64_t n);

  const int buckets_;
  const int max_distance_;
  const bool causal_;
  at::Tensor table_;
  at::Tensor bias_;
};

// The position biases of a stack's layers: one for each, or the first layer's for all. Not
// thread-safe.
class StackBias {
 public:
  // tables: one, or as many as the stack has layers; each [buckets, heads].
  StackBias(const T5Config& config, const std::vector<at::Tensor>& tables, bool causal) {
    for (const at::Tensor& table : tables) layers_.emplace_back(config, table, causal);
  }
  [[nodiscard]] PositionBias& layer(size_t i) { return layers_[layers_.size() == 1 ? 0 : i]; }
  [[nodiscard]] size_t size() const { return layers_.size(); }

 private:
  std::vector<PositionBias> layers_;
};

// The bucket of each relative position key - query (int64 tensor of any shape), as transformers
// computes it: exact near, logarithmic far, half of the buckets for keys after the query when not
// causal.
[[nodiscard]] at::Tensor RelativePositionBucket(const at::Tensor& relative_position,
                                                bool bidirectional, int buckets, int max_distance);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_POSITION_BIAS_H_
