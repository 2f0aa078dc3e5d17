#include "common/nn/cpu/vocabulary_head.h"

#include <algorithm>
#include <cmath>

namespace mellow::nn::cpu {
namespace {

// Positions whose logits are in memory together: 49 MB with T5's vocabulary.
constexpr int kChunk = 4 * kernels::kMaxGemmRows;

}  // namespace

VocabularyHead::VocabularyHead(CpuBackend* backend, const T5Weights& weights)
    : backend_(backend),
      weights_(weights),
      width_(weights.config.d_model),
      vocab_(weights.config.vocab_size),
      scale_(weights.config.scale_decoder_outputs
                 ? static_cast<float>(1.0 / std::sqrt(static_cast<double>(width_)))
                 : 1.0f) {}

float* VocabularyHead::Logits(const float* hidden, int count, kernels::FloatBuffer* buffer) {
  const kernels::PackedMatrix& head = weights_.lm_head.matrix();
  float* const logits = buffer->Reserve(size_t{kChunk} * vocab_);
  const float* input = hidden;
  if (scale_ != 1.0f) {
    float* const scaled = input_.Reserve(size_t{kChunk} * width_);
    std::copy_n(hidden, static_cast<size_t>(count) * width_, scaled);
    backend_->kernels.scale(scale_, count * width_, scaled);
    input = scaled;
  }
  MatMul(backend_->kernels, &backend_->pool, head, {input, width_}, count, {logits, vocab_});
  return logits;
}

const std::vector<float>& VocabularyHead::MeanRow() {
  if (!mean_row_.empty()) return mean_row_;
  std::vector<double> sums(static_cast<size_t>(width_));
  std::vector<float> row(static_cast<size_t>(width_));
  for (int v = 0; v < vocab_; ++v) {
    weights_.lm_head.matrix().Row(v, row.data());
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += row[j];
  }
  for (const double sum : sums) mean_row_.push_back(static_cast<float>(sum / vocab_));
  return mean_row_;
}

// With z the logits and s = log sum exp z, smoothing e:  log p = (1 - e) z[a] + e mean(z) - s;
// entropy = s - sum p z;  jacobian = scale ((1 - e) W[a] + e mean_v W[v] - sum_v p(v) W[v]).
void VocabularyHead::ScoreTargets(const float* hidden, absl::Span<const int64_t> targets,
                                  double label_smoothing, const Output& out) {
  const kernels::KernelTable& k = backend_->kernels;
  const int n = static_cast<int>(targets.size());
  const auto smoothing = static_cast<float>(label_smoothing);
  const bool distribution = out.entropies != nullptr || out.jacobian != nullptr;
  if (out.jacobian != nullptr) {
    if (transposed_.out() == 0)
      weights_.lm_head.matrix().TransposeInto(&transposed_, &backend_->pool);
    if (smoothing > 0) (void)MeanRow();
  }
  for (int start = 0; start < n; start += kChunk) {
    const int count = std::min(kChunk, n - start);
    float* const logits = Logits(hidden + static_cast<size_t>(start) * width_, count, &logits_);
    backend_->pool.Run(count, [&](int i) {
      float* const z = logits + static_cast<size_t>(i) * vocab_;
      const double log_sum = k.log_sum_exp(z, vocab_);
      double wanted = z[targets[start + i]];
      if (smoothing > 0) {
        double sum = 0;
        for (int v = 0; v < vocab_; ++v) sum += z[v];
        wanted = (1 - label_smoothing) * wanted + label_smoothing * (sum / vocab_);
      }
      if (out.logprobs != nullptr) out.logprobs[start + i] = static_cast<float>(wanted - log_sum);
      if (!distribution) return;
      const double expected = k.probabilities(log_sum, vocab_, z);
      if (out.entropies != nullptr)
        out.entropies[start + i] = static_cast<float>(log_sum - expected);
    });
    if (out.jacobian == nullptr) continue;
    float* const expected = out.jacobian + static_cast<size_t>(start) * width_;
    MatMul(k, &backend_->pool, transposed_, {logits, vocab_}, count, {expected, width_});
    backend_->ForRows(count, [&](int first, int many) {
      std::vector<float> chosen(static_cast<size_t>(width_));
      for (int i = first; i < first + many; ++i) {
        weights_.lm_head.matrix().Row(targets[start + i], chosen.data());
        float* const row = expected + static_cast<size_t>(i) * width_;
        for (int j = 0; j < width_; ++j) {
          float w = chosen[static_cast<size_t>(j)];
          if (smoothing > 0)
            w = (1 - smoothing) * w + smoothing * mean_row_[static_cast<size_t>(j)];
          row[j] = (w - row[j]) * scale_;
        }
      }
    });
  }
}

void VocabularyHead::VocabularyKl(const float* hidden, const float* reference_hidden, int n,
                                  float* kl) {
  const kernels::KernelTable& k = backend_->kernels;
  for (int start = 0; start < n; start += kChunk) {
    const int count = std::min(kChunk, n - start);
    const size_t first = static_cast<size_t>(start) * width_;
    float* const p = Logits(hidden + first, count, &logits_);
    float* const q = Logits(reference_hidden + first, count, &reference_logits_);
    backend_->pool.Run(count, [&](int i) {
      const float* const x = p + static_cast<size_t>(i) * vocab_;
      const float* const y = q + static_cast<size_t>(i) * vocab_;
      const double x_sum = k.log_sum_exp(x, vocab_);
      const double y_sum = k.log_sum_exp(y, vocab_);
      double sum = 0;
      for (int v = 0; v < vocab_; ++v)
        sum += std::exp(x[v] - x_sum) * ((x[v] - x_sum) - (y[v] - y_sum));
      kl[start + i] = static_cast<float>(sum);
    });
  }
}

void VocabularyHead::ReleaseMemory() {
  transposed_.Discard();
  for (kernels::FloatBuffer* buffer : {&input_, &logits_, &reference_logits_}) buffer->Discard();
}

}  // namespace mellow::nn::cpu
