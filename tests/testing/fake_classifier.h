#ifndef MELLOW_TESTS_TESTING_FAKE_CLASSIFIER_H_
#define MELLOW_TESTS_TESTING_FAKE_CLASSIFIER_H_

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "common/nn/sequence_classifier.h"
#include "common/sync/mutex.h"
#include "tests/testing/held_calls.h"

namespace mellow::testing {

// Two labels, nothate and hate; the logit of hate is the last id but one, that of nothate 0. A test
// can hold it, and sees what each batch had. The logit of id 666 is not a number.
class FakeClassifier : public nn::SequenceClassifier, public HeldCalls {
 public:
  static constexpr int32_t kSpoiled = 666;

  FakeClassifier() {
    config_.labels = {"nothate", "hate"};
    config_.max_position_embeddings = 12;  // 10 tokens
  }
  const nn::RobertaConfig& config() const override { return config_; }
  // Before the model is used.
  void WarnOf(std::string what) { config_.warnings.push_back(std::move(what)); }
  int64_t parameter_count() const override { return 5; }
  absl::StatusOr<std::vector<std::vector<float>>> Classify(
      absl::Span<const std::vector<int32_t>> sequences) override {
    Pass();
    std::vector<size_t> lengths;
    std::vector<std::vector<float>> logits;
    for (const auto& ids : sequences) {
      lengths.push_back(ids.size());
      logits.push_back({0, ids.size() < 2 ? 0 : static_cast<float>(ids[ids.size() - 2])});
      if (logits.back()[1] == kSpoiled) logits.back()[1] = NAN;
    }
    MutexLock lock(&mutex_);
    batches_.push_back(lengths);
    return logits;
  }
  std::vector<std::vector<size_t>> batches() const {
    MutexLock lock(&mutex_);
    return batches_;
  }

 private:
  nn::RobertaConfig config_;
  mutable Mutex mutex_;
  std::vector<std::vector<size_t>> batches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_FAKE_CLASSIFIER_H_
