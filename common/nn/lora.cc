#include "common/nn/lora.h"

#include <cmath>

namespace mellow::nn {

double LoraConfig::scaling() const { return lora_alpha / (use_rslora ? std::sqrt(r) : r); }

}  // namespace mellow::nn
