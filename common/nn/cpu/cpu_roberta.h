#ifndef MELLOW_COMMON_NN_CPU_CPU_ROBERTA_H_
#define MELLOW_COMMON_NN_CPU_CPU_ROBERTA_H_

#include <memory>
#include <string>
#include <vector>

#include "common/nn/cpu/cpu_linear.h"
#include "common/nn/kernels/attention.h"
#include "common/nn/load_options.h"
#include "common/nn/sequence_classifier.h"
#include "common/sync/mutex.h"

namespace mellow::nn::cpu {

struct LayerNormWeights {
  std::vector<float> weight;
  std::vector<float> bias;
};

// One post-norm encoder layer.
struct RobertaLayer {
  CpuLinear qkv;
  CpuLinear attention_out;
  LayerNormWeights attention_norm;
  CpuLinear intermediate;
  CpuLinear output;
  LayerNormWeights output_norm;
};

struct RobertaWeights {
  RobertaConfig config;
  kernels::Activation activation = kernels::Activation::kGeluErf;
  std::vector<float> words;      // [vocab, hidden]
  std::vector<float> positions;  // [max positions, hidden]; token type 0 is added in
  LayerNormWeights embedding_norm;
  std::vector<RobertaLayer> layers;
  CpuLinear head_dense;
  CpuLinear head_out;
  int64_t parameters = 0;
};

// RobertaForSequenceClassification on our own kernels; unpadded batches as CpuT5.
class CpuRoberta : public SequenceClassifier {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CpuRoberta>> Load(const std::string& folder,
                                                                        const LoadOptions& options);

  const RobertaConfig& config() const override { return weights_->config; }
  int64_t parameter_count() const override { return weights_->parameters; }
  absl::StatusOr<std::vector<std::vector<float>>> Classify(
      absl::Span<const std::vector<int32_t>> sequences) override;

 private:
  // What one forward pass computes with, and its activations.
  struct Lane {
    explicit Lane(const LoadOptions& options) : backend(options) {}
    CpuBackend backend;
    kernels::FloatBuffer x, rounded, qkv, context, hidden, first, dense;
  };

  CpuRoberta(std::unique_ptr<Lane> all, std::unique_ptr<RobertaWeights> weights,
             const LoadOptions& options);

  // Logits of each of `sequences` to as many vectors from `out` on.
  void Pass(absl::Span<const std::vector<int32_t>> sequences, Lane* lane,
            std::vector<float>* out) const;
  void Embed(const std::vector<int32_t>& ids, const Lane& lane, float* x) const;
  void Norm(const LayerNormWeights& norm, int rows, Lane* lane, float* x) const;
  void Layer(const RobertaLayer& layer, absl::Span<const int> offsets, Lane* lane, float* x) const;
  // One head of one sequence of `rows`: k lies `k` floats behind q, and v as far behind k.
  void AttendHead(const Lane& lane, const float* q, ptrdiff_t k, ptrdiff_t stride, int rows,
                  float* context) const;
  // The heads' outputs, side by side.
  void Attention(const RobertaLayer& layer, absl::Span<const int> offsets, Lane* lane,
                 const float* x, float* context) const;

  const std::unique_ptr<RobertaWeights> weights_;
  Mutex mutex_;                      // one call at a time
  const std::unique_ptr<Lane> all_;  // has all threads
  // For passes side by side: one for each thread of all_, without threads of its own.
  std::vector<std::unique_ptr<Lane>> lanes_;
  const kernels::KvLayout layout_;
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_CPU_ROBERTA_H_
