#ifndef MELLOW_COMMON_NN_TORCH_ADAMW_H_
#define MELLOW_COMMON_NN_TORCH_ADAMW_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mellow::nn {

// The defaults are those of torch.optim.Adam; weight decay is decoupled from the gradient, as in
// torch.optim.AdamW.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019):
// torch.optim.AdamW's arithmetic, operation by operation; torch.optim.Adam's when weight_decay is
// 0. One step:
//   x -= lr wd x;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
//   x -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps).
// Works on the gradients in the parameters' .grad(); an undefined gradient counts as zero. Not
// thread-safe.
class AdamW {
 public:
  struct Parameter {
    std::string name;  // of its moments in a checkpoint
    at::Tensor value;  // fp32 leaf, shared with the model
    at::Tensor m;
    at::Tensor v;
  };

  AdamW(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
        const AdamWOptions& options);

  void ZeroGradients();
  // Global L2 norm over all parameters.
  [[nodiscard]] double GradientNorm() const;
  void ScaleGradients(double factor);
  void Step(double learning_rate);

  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  // For checkpoints: moments may be overwritten in place.
  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  AdamWOptions options_;
  int64_t steps_ = 0;
  std::vector<Parameter> parameters_;
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_ADAMW_H_
