#ifndef MELLOW_TESTS_COMMON_NN_GENERATION_TREE_MODEL_H_
#define MELLOW_TESTS_COMMON_NN_GENERATION_TREE_MODEL_H_

#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tests/testing/fake_seq2seq_model.h"

namespace mellow::testing {

// A model whose logits are any function of the tokens before: `logits(prefix)`, the prefix without
// the start token. For searches whose outcome depends on the path. Counts its rows and forks.
class TreeModel : public FakeSeq2SeqModel {
 public:
  using Prefix = std::vector<int32_t>;
  using Logits = std::function<std::vector<float>(const Prefix&)>;

  TreeModel(int vocab_size, Logits logits)
      : FakeSeq2SeqModel(vocab_size), logits_(std::move(logits)) {}

  absl::StatusOr<std::vector<std::unique_ptr<nn::DecodeRow>>> Encode(
      absl::Span<const nn::EncodeRequest> requests) override {
    std::vector<std::unique_ptr<nn::DecodeRow>> rows;
    for (size_t i = 0; i < requests.size(); ++i) rows.push_back(std::make_unique<TreeRow>());
    return rows;
  }

  absl::Status Step(absl::Span<nn::DecodeRow* const> rows, absl::Span<const int32_t> tokens,
                    std::vector<float>* logits) override {
    logits->clear();
    rows_of_steps_.push_back(static_cast<int>(rows.size()));
    for (size_t i = 0; i < rows.size(); ++i) {
      auto& row = static_cast<TreeRow&>(*rows[i]);
      row.fed.push_back(tokens[i]);
      const std::vector<float> next = logits_(Prefix(row.fed.begin() + 1, row.fed.end()));
      logits->insert(logits->end(), next.begin(), next.end());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<nn::DecodeRow>> Fork(const nn::DecodeRow& row) override {
    ++forks_;
    return std::make_unique<TreeRow>(static_cast<const TreeRow&>(row));
  }

  std::vector<float> LogProbs(const Prefix& prefix) const {
    std::vector<float> x = logits_(prefix);
    double sum = 0;
    for (float v : x) sum += std::exp(static_cast<double>(v));
    for (float& v : x) v = static_cast<float>(v - std::log(sum));
    return x;
  }
  const std::vector<int>& steps() const { return rows_of_steps_; }
  int forks() const { return forks_; }

 private:
  struct TreeRow : nn::DecodeRow {
    std::vector<int32_t> fed;
    int position() const override { return static_cast<int>(fed.size()); }
  };
  Logits logits_;
  std::vector<int> rows_of_steps_;
  int forks_ = 0;
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_COMMON_NN_GENERATION_TREE_MODEL_H_
