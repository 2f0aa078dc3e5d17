#ifndef MELLOW_COMMON_NN_ACTIVATION_H_
#define MELLOW_COMMON_NN_ACTIVATION_H_

#include "absl/strings/string_view.h"

namespace mellow::nn {

// kGeluNew is the tanh approximation, kGelu the exact form.
enum class Activation { kRelu, kGeluNew, kGelu, kSilu };

constexpr char kActivationNames[] =
    "relu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, gelu_python, silu or swish";

// By transformers' name, which may be one of several for one formula. False: another name.
[[nodiscard]] inline bool ParseActivation(absl::string_view name, Activation* activation) {
  if (name == "relu") {
    *activation = Activation::kRelu;
  } else if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") {
    *activation = Activation::kGeluNew;
  } else if (name == "gelu" || name == "gelu_python") {
    *activation = Activation::kGelu;
  } else if (name == "silu" || name == "swish") {
    *activation = Activation::kSilu;
  } else {
    return false;
  }
  return true;
}

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_ACTIVATION_H_
