#ifndef MELLOW_COMMON_NN_TORCH_KV_POOL_H_
#define MELLOW_COMMON_NN_TORCH_KV_POOL_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/sync/mutex.h"

namespace mellow::nn {

// Keys and values of many sequences in one tensor per layer, so that one attention call serves a
// batch of them: [slots, heads, positions, d_kv] fp32. A sequence owns a slot; the tensors grow
// (both ways, by doubling) and never shrink. Take and Free are thread-safe; the tensors belong to
// the one thread that runs the model.
class KvPool {
 public:
  KvPool(int layers, int64_t heads, int64_t width, at::Device device);

  // A slot of its own, given back by its destructor. Keeps the pool alive.
  class Slot {
   public:
    Slot(std::shared_ptr<KvPool> pool, int64_t index) : pool_(std::move(pool)), index_(index) {}
    ~Slot() { pool_->Free(index_); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    [[nodiscard]] int64_t index() const { return index_; }

   private:
    std::shared_ptr<KvPool> pool_;
    int64_t index_;
  };
  [[nodiscard]] static std::unique_ptr<Slot> Take(const std::shared_ptr<KvPool>& pool);

  // Makes room for every slot that was taken, with `positions` positions each, and clears those
  // that another sequence had before: attention masks what it left there, but 0 x NaN is NaN. To be
  // called between Take and the first use.
  void Reserve(int64_t positions);

  // Writes one position per row. slots, positions: [rows] int64; keys, values:
  // [rows, heads * d_kv].
  void Append(int layer, const at::Tensor& slots, const at::Tensor& positions,
              const at::Tensor& keys, const at::Tensor& values);
  // Writes positions 0..n-1 of one slot. keys, values: [n, heads * d_kv].
  void Write(int layer, int64_t slot, const at::Tensor& keys, const at::Tensor& values);
  void Copy(int64_t from, int64_t to, int64_t positions);

  // The first `positions` of the slots: [rows, heads, positions, d_kv].
  [[nodiscard]] at::Tensor Keys(int layer, const at::Tensor& slots, int64_t positions) const;
  [[nodiscard]] at::Tensor Values(int layer, const at::Tensor& slots, int64_t positions) const;

 private:
  void Free(int64_t index);

  const int64_t heads_;
  const int64_t width_;
  Mutex mutex_;
  std::vector<int64_t> free_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> reused_ ABSL_GUARDED_BY(mutex_);  // taken again, not cleared yet
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;            // slots ever handed out
  std::vector<at::Tensor> keys_;                         // by layer
  std::vector<at::Tensor> values_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_KV_POOL_H_
