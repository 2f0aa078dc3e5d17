#ifndef MELLOW_COMMON_NN_CPU_POSITION_BIAS_H_
#define MELLOW_COMMON_NN_CPU_POSITION_BIAS_H_

#include <cstddef>
#include <vector>

namespace mellow::nn::cpu {

// T5's bucket of the relative position key - query. Bidirectional: half of the buckets for each
// side; else keys after the query share bucket 0 with the query itself.
[[nodiscard]] int RelativePositionBucket(int relative, bool bidirectional, int buckets,
                                         int max_distance);

// The relative position bias of one stack, per head as a row over key - query, so that the bias of
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

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_POSITION_BIAS_H_
