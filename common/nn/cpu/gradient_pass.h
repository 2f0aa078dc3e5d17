#ifndef MELLOW_COMMON_NN_CPU_GRADIENT_PASS_H_
#define MELLOW_COMMON_NN_CPU_GRADIENT_PASS_H_

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "common/nn/cpu/gradient_t5.h"

namespace mellow::nn::cpu {

// One teacher-forced pass of a GradientT5, which outlives it. Each sub-layer reads the residual
// stream x and makes the next one, x + f(norm(x)). For the backward pass its tape keeps x, the
// projections and the feed-forward layer's pre-activations; norms, activations and attention's
// probabilities are computed again.
class GradientPass {
 public:
  // `arena` holds what is kept, and goes back to the model with the pass.
  GradientPass(GradientT5* model, GradientT5::Batch batch, PackedLora lora,
               const DropoutMasks* dropout, bool gradients, std::unique_ptr<kernels::Arena> arena);
  ~GradientPass();
  GradientPass(const GradientPass&) = delete;
  GradientPass& operator=(const GradientPass&) = delete;

  void Forward();

  // The decoder's states after its final norm (not scaled for a tied head), [target tokens,
  // d_model].
  const float* hidden() const { return decoder_end_.hidden; }
  int target_rows() const { return batch_.targets.rows(); }

  // Adds the adapter's gradients, given that of hidden(), to what is there, by module. Those of the
  // sequences are summed first, as sum_tree.h has it. Once, of a pass that was made for it.
  void Backward(const float* d_hidden, absl::Span<const LoraGradients> gradients);

 private:
  // A block has these, in this order; the encoder's have no cross-attention.
  enum SubLayer { kSelf, kCross, kFeedForward, kSubLayers };

  struct AttentionTape {
    const float* x = nullptr;
    float* projected = nullptr;    // [rows, 3 inner]: q, k, v; of cross-attention [rows, inner]: q
    float* keys_values = nullptr;  // of cross-attention, [source rows, 2 inner]
    float* context = nullptr;      // [rows, inner], the input of o; kept when o is adapted
    LinearTape in, kv, out;
    uint32_t probabilities_place = 0;
    uint32_t residual_place = 0;
  };
  struct FeedForwardTape {
    const float* x = nullptr;
    float* hidden = nullptr;  // [rows, wi's out], before the activation
    LinearTape wi, wo;
    uint32_t inner_place = 0;
    uint32_t residual_place = 0;
  };
  struct BlockTape {
    AttentionTape self, cross;
    FeedForwardTape feed_forward;
  };
  // The final norm of a stack.
  struct EndTape {
    const float* x = nullptr;
    float* hidden = nullptr;
    uint32_t place = 0;
  };
  // The relative position bias of one layer; of cross-attention there is none.
  struct LayerBias {
    const StackBias* stack = nullptr;
    size_t layer = 0;
  };
  // Attention of all sequences and heads: rows of q, k and v with all heads side by side.
  struct AttentionShape {
    const Sequences* queries = nullptr;
    const Sequences* keys = nullptr;
    bool causal = false;
    LayerBias bias;
    kernels::ConstRows q, k, v;
  };
  // One sequence and head of it.
  struct Head {
    ptrdiff_t query = 0;  // the sequence's first rows
    ptrdiff_t key = 0;
    int column = 0;  // the head's first
    kernels::ConstRows k, v;
    kernels::AttentionArgs args;
  };

  const T5Config& config() const { return model_->config(); }
  const kernels::KernelTable& kernels() const { return model_->backend_->kernels; }

  float* Embed(absl::Span<const int32_t> tokens, const Sequences& rows);
  void Norm(const std::vector<float>& weight, const float* x, int rows, float* y) const;
  // y += x, both [rows, d_model].
  void Add(const float* x, int rows, float* y) const;
  // Where the sub-layer's output is added: a copy of x when x is kept, else x.
  float* NextResidual(float* x, int rows);
  // next += drop(the layer of x).
  void AddToResidual(const TrainedLinear& layer, kernels::ConstRows x, const Sequences& rows,
                     float* next, LinearTape* tape, uint32_t* place);

  AttentionShape SelfShape(LayerBias bias, const Sequences& rows, bool causal,
                           const AttentionTape& tape) const;
  AttentionShape CrossShape(const AttentionTape& tape) const;
  Head HeadOf(const AttentionShape& shape, const AttentionTape& tape, int task) const;
  // Writes tape->context, which `reader` reads.
  void Attend(const AttentionShape& shape, const TrainedLinear& reader, AttentionTape* tape);

  float* SelfAttention(const GradientT5::Block& block, const Sequences& rows, LayerBias bias,
                       bool causal, float* x, AttentionTape* tape);
  float* CrossAttention(const GradientT5::Block& block, float* x, AttentionTape* tape);
  float* FeedForward(const GradientT5::Block& block, const Sequences& rows, float* x,
                     FeedForwardTape* tape);
  // inner [count, d_ff]: what wo reads, from what wi wrote.
  void Activate(const float* hidden, int count, float* inner) const;
  // Rows whose feed-forward activations are computed together.
  int FeedForwardStep(const GradientT5::Block& block, int rows) const;
  void End(const std::vector<float>& norm, float* x, const Sequences& rows, EndTape* tape);

  // Backward. dx, the gradient of the residual stream after a sub-layer, becomes that before it.
  // `through`: whether anything before it is trained; else only the sub-layer's own adapters get
  // their gradients and dx is left as it is.
  void SelfAttentionBackward(const GradientT5::Block& block, const Sequences& rows, LayerBias bias,
                             bool causal, const AttentionTape& tape, bool through, float* dx);
  // Adds to d_encoded, the gradient of the encoder's output; null: nothing there is trained.
  void CrossAttentionBackward(const GradientT5::Block& block, const AttentionTape& tape,
                              bool through, float* dx, float* d_encoded);
  void FeedForwardBackward(const GradientT5::Block& block, const Sequences& rows,
                           const FeedForwardTape& tape, bool through, float* dx);
  // dx += the gradient of x, given that of its norm.
  void NormBackward(const std::vector<float>& weight, const float* x, const float* dy, int rows,
                    float* dx) const;
  // dx as it reaches the layer whose output was dropped and added to the residual stream.
  const float* ResidualGradient(const float* dx, const Sequences& rows, uint32_t place);
  // The gradient of attention's context, [rows, inner].
  float* ContextGradient(const TrainedLinear& layer, const Sequences& rows,
                         const AttentionTape& tape, const float* dx);
  // dq, dk, dv: rows with all heads side by side.
  void AttendBackward(const AttentionShape& shape, const AttentionTape& tape,
                      const float* d_context, kernels::Rows dq, kernels::Rows dk, kernels::Rows dv);
  // norm(x) when the layer is adapted, whose backward pass then reads it; else null.
  const float* AdaptedInput(const TrainedLinear& layer, const std::vector<float>& norm,
                            const float* x, int rows);
  bool Adapted(const GradientT5::Block& block, int sub_layer) const;
  // The first adapted sub-layer of a stack, counted kSubLayers a block; their number when none is.
  int FirstAdapted(const std::vector<GradientT5::Block>& blocks) const;

  GradientT5* const model_;
  const GradientT5::Batch batch_;
  const PackedLora lora_;
  const bool gradients_;
  const kernels::Activation activation_;
  std::unique_ptr<kernels::Arena> arena_;
  PassContext context_;
  absl::Span<const LoraGradients> adapter_gradients_;  // during Backward
  std::vector<BlockTape> encoder_, decoder_;
  EndTape encoder_end_, decoder_end_;
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_GRADIENT_PASS_H_
