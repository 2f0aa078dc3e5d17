#ifndef MELLOW_COMMON_NN_CPU_POSITION_BIAS_H_
#define MELLOW_COMMON_NN_CPU_POSITION_BIAS_H_

#include <cstddef>
#include <utility>
#include <vector>

namespace mellow::nn::cpu {

// T5's bucket of the relative position key - query. Bidirectional: half of the buckets for each
// side; else keys after the query share bucket 0 with the query itself.
[[nodiscard]] int RelativePositionBucket(int relative, bool bidirectional, int buckets,
                                         int max_distance);

// The relative position bias of a layer, per head as a row over key - query, so that the bias of
// one query over all keys is a slice of it. Grows to the longest sequence seen. Not thread-safe.
class PositionBias {
 public:
  PositionBias() = default;
  // table: [buckets, heads], as in the checkpoint.
  PositionBias(std::vector<float> table, int buckets, int heads, bool bidirectional,
               int max_distance);

  // Makes relative positions in (-length, length) available; invalidates Center.
  void Reserve(int length);
  // Bias of `head` at relative position 0; index by key - query.
  const float* Center(int head) const {
    return values_.data() + (static_cast<size_t>(head) * 2 + 1) * length_;
  }

 private:
  std::vector<float> table_;
  int buckets_ = 0;
  int heads_ = 0;
  bool bidirectional_ = true;
  int max_distance_ = 0;
  int length_ = 0;
  std::vector<float> values_;  // [heads, 2 * length]
};

// The position biases of a stack's layers: one for each, or the first layer's for all. Not
// thread-safe.
class StackBias {
 public:
  StackBias() = default;
  // One, or as many as the stack has layers.
  explicit StackBias(std::vector<PositionBias> layers) : layers_(std::move(layers)) {}

  void Reserve(int length) {
    for (PositionBias& layer : layers_) layer.Reserve(length);
  }
  const float* Center(size_t layer, int head) const {
    return layers_[layers_.size() == 1 ? 0 : layer].Center(head);
  }

 private:
  std::vector<PositionBias> layers_;
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_POSITION_BIAS_H_
