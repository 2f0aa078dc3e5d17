#ifndef MELLOW_COMMON_RL_ADAM_H_
#define MELLOW_COMMON_RL_ADAM_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mellow::rl {

// Adam (Kingma and Ba 2015) with torch.optim.Adam's defaults and arithmetic: betas (0.9, 0.999), eps 1e-8, no weight decay.
// Works on the gradients in the parameters' .grad(); an undefined gradient counts as zero. Not thread-safe.
class Adam {
 public:
  struct Parameter {
    std::string name;  // of its moments in a checkpoint
    at::Tensor value;  // fp32 leaf, shared with the model
    at::Tensor m;
    at::Tensor v;
  };

  Adam(const std::vector<std::pair<std::string, at::Tensor>>& parameters, double learning_rate);

  void ZeroGradients();
  // Global L2 norm over all parameters.
  [[nodiscard]] double GradientNorm() const;
  void ScaleGradients(double factor);
  void Step();

  [[nodiscard]] int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  // For checkpoints: moments may be overwritten in place.
  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  double learning_rate_;
  int64_t steps_ = 0;
  std::vector<Parameter> parameters_;
};

}  // namespace mellow::rl

#endif  // MELLOW_COMMON_RL_ADAM_H_
