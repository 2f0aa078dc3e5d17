#ifndef MELLOW_COMMON_NN_CPU_CPU_T5_ROW_H_
#define MELLOW_COMMON_NN_CPU_CPU_T5_ROW_H_

#include <memory>
#include <utility>

#include "common/nn/cpu/cpu_linear.h"
#include "common/nn/kernels/attention.h"
#include "common/nn/seq2seq_model.h"

namespace mellow::nn::cpu {

// Decode state of one sequence. Copying it is Fork: the encoder's part is shared, the cache copies
// what it writes to.
struct CpuT5Row : public DecodeRow {
  CpuT5Row(const void* owner, const CpuAdapter* adapter, int max_target_tokens,
           const ValueHead* value_head, std::shared_ptr<const kernels::KvCache> cross,
           kernels::KvCache self)
      : owner(owner),
        adapter(adapter),
        max_target_tokens(max_target_tokens),
        value_head(value_head),
        cross(std::move(cross)),
        self(std::move(self)) {}
  int position() const override { return self.size(); }

  const void* owner;  // the model, to refuse another one's rows
  const CpuAdapter* adapter;
  int max_target_tokens;
  const ValueHead* value_head;  // null: none
  std::shared_ptr<const kernels::KvCache> cross;
  kernels::KvCache self;
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_CPU_T5_ROW_H_
