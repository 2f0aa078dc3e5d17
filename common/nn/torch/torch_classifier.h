#ifndef MELLOW_COMMON_NN_TORCH_TORCH_CLASSIFIER_H_
#define MELLOW_COMMON_NN_TORCH_TORCH_CLASSIFIER_H_

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "common/nn/sequence_classifier.h"
#include "common/nn/weights/host_tensor.h"
#include "common/sync/mutex.h"

namespace mellow::nn {

// RobertaForSequenceClassification on a libtorch device. Sequences are packed one after the other
// without padding.
class TorchClassifier : public SequenceClassifier {
 public:
  // `type` is that of the matrices; norms, biases and sums are fp32. Errors as
  // LoadSequenceClassifier.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TorchClassifier>> Load(
      const std::string& folder, at::Device device, at::ScalarType type);

  const RobertaConfig& config() const override { return config_; }
  int64_t parameter_count() const override { return parameter_count_; }
  absl::StatusOr<std::vector<std::vector<float>>> Classify(
      absl::Span<const std::vector<int32_t>> sequences) override;

 private:
  struct Linear {
    at::Tensor weight;
    at::Tensor bias;
  };
  struct Norm {
    at::Tensor weight;
    at::Tensor bias;
  };
  struct Layer {
    Linear query, key, value, attention_out, intermediate, output;
    Norm attention_norm, output_norm;
  };
  class Builder;

  TorchClassifier() = default;
  [[nodiscard]] at::Tensor Apply(const Linear& linear, const at::Tensor& x) const;
  [[nodiscard]] at::Tensor Apply(const Norm& norm, const at::Tensor& x) const;
  [[nodiscard]] at::Tensor Attend(const at::Tensor& x, const Layer& layer,
                                  const std::vector<int64_t>& lengths) const;
  // [sequences, labels]
  [[nodiscard]] at::Tensor Forward(absl::Span<const std::vector<int32_t>> sequences) const;

  RobertaConfig config_;
  int64_t parameter_count_ = 0;
  at::Tensor words_, positions_, types_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  Linear head_dense_, head_out_;
  Mutex mutex_;  // one pass at a time
};

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_TORCH_TORCH_CLASSIFIER_H_
