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
  CpuRoberta(std::unique_ptr<CpuBackend> backend, std::unique_ptr<RobertaWeights> weights);

  // Logits of sequences[order[i]] to (*out)[order[i]].
  void Pass(absl::Span<const std::vector<int32_t>> sequences, absl::Span<const size_t> order,
            std::vector<std::vector<float>>* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Embed(const std::vector<int32_t>& ids, float* x) const;
  void Norm(const LayerNormWeights& norm, int rows, float* x);
  void Layer(const RobertaLayer& layer, absl::Span<const int> offsets, float* x)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<CpuBackend> backend_;
  const std::unique_ptr<RobertaWeights> weights_;
  const kernels::KvLayout layout_;
  Mutex mutex_;  // one forward pass at a time
  struct {
    kernels::FloatBuffer x, qkv, context, hidden, first, dense;
  } scratch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::nn::cpu

#endif  // MELLOW_COMMON_NN_CPU_CPU_ROBERTA_H_
