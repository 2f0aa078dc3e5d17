#include "common/nn/torch/kv_pool.h"

#include <algorithm>
#include <cstddef>

#include "common/nn/torch/tensors.h"

namespace mellow::nn {
namespace {

int64_t Doubled(int64_t have, int64_t need) {
  int64_t size = std::max<int64_t>(have, 1);
  while (size < need) size *= 2;
  return size;
}

at::Tensor Grown(const at::Tensor& old, int64_t slots, int64_t positions) {
  at::Tensor grown = at::zeros({slots, old.size(1), positions, old.size(3)}, old.options());
  grown.narrow(0, 0, old.size(0)).narrow(2, 0, old.size(2)).copy_(old);
  return grown;
}

}  // namespace

KvPool::KvPool(int layers, int64_t heads, int64_t width, at::Device device)
    : heads_(heads), width_(width) {
  const at::TensorOptions options = at::TensorOptions(at::kFloat).device(device);
  for (int i = 0; i < layers; ++i) {
    keys_.push_back(at::zeros({0, heads, 0, width}, options));
    values_.push_back(at::zeros({0, heads, 0, width}, options));
  }
}

std::unique_ptr<KvPool::Slot> KvPool::Take(const std::shared_ptr<KvPool>& pool) {
  const MutexLock lock(&pool->mutex_);
  pool->free_.reserve(static_cast<size_t>(pool->taken_) + 1);  // Free must not throw
  int64_t index = pool->taken_;
  if (pool->free_.empty()) {
    ++pool->taken_;
  } else {
    index = pool->free_.back();
    pool->free_.pop_back();
    pool->reused_.push_back(index);
  }
  return std::make_unique<Slot>(pool, index);
}

void KvPool::Free(int64_t index) {
  const MutexLock lock(&mutex_);
  free_.push_back(index);
}

void KvPool::Reserve(int64_t positions) {
  int64_t slots = 0;
  std::vector<int64_t> reused;
  {
    const MutexLock lock(&mutex_);
    slots = taken_;
    reused = reused_;
  }
  // Each by its own size: where memory ended before, some have grown and others have not.
  for (std::vector<at::Tensor>* cache : {&keys_, &values_}) {
    for (at::Tensor& tensor : *cache) {
      if (slots > tensor.size(0) || positions > tensor.size(2))
        tensor = Grown(tensor, Doubled(tensor.size(0), slots), Doubled(tensor.size(2), positions));
    }
  }
  if (reused.empty()) return;
  const at::Tensor slots_again = IdTensor(reused, keys_[0].device());
  for (std::vector<at::Tensor>* cache : {&keys_, &values_}) {
    for (at::Tensor& tensor : *cache) tensor.index_fill_(0, slots_again, 0);
  }
  // Not before: where memory ends, they are left to the next call.
  const MutexLock lock(&mutex_);
  reused_.erase(reused_.begin(), reused_.begin() + static_cast<std::ptrdiff_t>(reused.size()));
}

void KvPool::Append(int layer, const at::Tensor& slots, const at::Tensor& positions,
                    const at::Tensor& keys, const at::Tensor& values) {
  const int64_t rows = slots.size(0);
  const at::Tensor heads = at::arange(heads_, slots.options()).unsqueeze(0);
  const c10::List<std::optional<at::Tensor>> where(
      {slots.unsqueeze(1), heads, positions.unsqueeze(1)});
  keys_[static_cast<size_t>(layer)].index_put_(where, keys.view({rows, heads_, width_}));
  values_[static_cast<size_t>(layer)].index_put_(where, values.view({rows, heads_, width_}));
}

void KvPool::Write(int layer, int64_t slot, const at::Tensor& keys, const at::Tensor& values) {
  const int64_t n = keys.size(0);
  const auto write = [&](const at::Tensor& cache, const at::Tensor& data) {
    cache.select(0, slot).narrow(1, 0, n).copy_(data.view({n, heads_, width_}).transpose(0, 1));
  };
  write(keys_[static_cast<size_t>(layer)], keys);
  write(values_[static_cast<size_t>(layer)], values);
}

void KvPool::Copy(int64_t from, int64_t to, int64_t positions) {
  for (std::vector<at::Tensor>* cache : {&keys_, &values_}) {
    for (at::Tensor& tensor : *cache)
      tensor.select(0, to)
          .narrow(1, 0, positions)
          .copy_(tensor.select(0, from).narrow(1, 0, positions));
  }
}

at::Tensor KvPool::Keys(int layer, const at::Tensor& slots, int64_t positions) const {
  return keys_[static_cast<size_t>(layer)].narrow(2, 0, positions).index_select(0, slots);
}

at::Tensor KvPool::Values(int layer, const at::Tensor& slots, int64_t positions) const {
  return values_[static_cast<size_t>(layer)].narrow(2, 0, positions).index_select(0, slots);
}

}  // namespace mellow::nn
