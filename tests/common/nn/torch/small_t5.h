#ifndef MELLOW_TESTS_COMMON_NN_TORCH_SMALL_T5_H_
#define MELLOW_TESTS_COMMON_NN_TORCH_SMALL_T5_H_

#include <gtest/gtest.h>

#include <memory>

#include "common/nn/torch/t5_weights.h"
#include "tests/testing/source_tree.h"

namespace mellow::nn {

// The small model that make_ppo_golden.py wrote; "gated" or "tied".
inline std::shared_ptr<const T5Weights> SmallT5(const std::string& name) {
  auto weights =
      LoadT5Weights(mellow::SourceTree("/tests/parity/golden/ppo/") + name, at::kCPU, at::kFloat);
  EXPECT_TRUE(weights.ok()) << weights.status();
  return std::make_shared<const T5Weights>(std::move(*weights));
}

}  // namespace mellow::nn

#endif  // MELLOW_TESTS_COMMON_NN_TORCH_SMALL_T5_H_
