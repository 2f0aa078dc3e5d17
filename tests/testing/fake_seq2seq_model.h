#ifndef MELLOW_TESTS_TESTING_FAKE_SEQ2SEQ_MODEL_H_
#define MELLOW_TESTS_TESTING_FAKE_SEQ2SEQ_MODEL_H_

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/nn/seq2seq_model.h"
#include "common/sync/mutex.h"
#include "tests/testing/held_calls.h"

namespace mellow::testing {

// A model whose next token is a function of the source alone: it counts up from source_ids[0], and
// says </s> (1) when it reaches source_ids[1]. A test can hold its steps, and sees how many
// rows each had.
class FakeSeq2SeqModel : public nn::Seq2SeqModel, public HeldCalls {
 public:
  explicit FakeSeq2SeqModel(int vocab_size = 64) { config_.vocab_size = vocab_size; }

  const nn::T5Config& config() const override { return config_; }
  nn::T5Config* mutable_config() { return &config_; }  // before it is used
  int64_t parameter_count() const override { return 7; }

  absl::StatusOr<std::shared_ptr<const nn::PreparedAdapter>> Prepare(
      const nn::LoraWeights&) const override {
    return std::make_shared<const nn::PreparedAdapter>();
  }

  absl::StatusOr<std::vector<std::unique_ptr<nn::DecodeRow>>> Encode(
      absl::Span<const nn::EncodeRequest> requests) override {
    std::vector<std::unique_ptr<nn::DecodeRow>> rows;
    for (const nn::EncodeRequest& r : requests) {
      auto row = std::make_unique<Row>();
      row->next = r.source_ids[0];
      row->last = r.source_ids.size() > 1 ? r.source_ids[1] : config_.vocab_size;
      row->spoiled = row->next == spoiled_;
      row->head = r.value_head;
      rows.push_back(std::move(row));
    }
    MutexLock lock(&mutex_);
    for (const nn::EncodeRequest& r : requests) encoded_.push_back(r.source_ids[0]);
    return rows;
  }

  absl::Status Step(absl::Span<nn::DecodeRow* const> rows, absl::Span<const int32_t>,
                    std::vector<float>* logits) override {
    Pass();
    {
      MutexLock lock(&mutex_);
      rows_of_steps_.push_back(static_cast<int>(rows.size()));
      if (!failure_.ok()) return failure_;
    }
    logits->assign(rows.size() * config_.vocab_size, 0.0f);
    for (size_t i = 0; i < rows.size(); ++i) {
      Row& row = static_cast<Row&>(*rows[i]);
      const int token = row.next >= row.last ? config_.eos_token_ids[0] : row.next;
      (*logits)[i * config_.vocab_size + token] = 10;
      if (row.spoiled) (*logits)[(i + 1) * config_.vocab_size - 1] = NAN;
      // As of a state whose first number is the position.
      if (row.head != nullptr)
        row.set_value(row.head->weight[0] * static_cast<float>(row.fed) + row.head->bias);
      ++row.next;
      ++row.fed;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<nn::DecodeRow>> Fork(const nn::DecodeRow& row) override {
    return std::make_unique<Row>(static_cast<const Row&>(row));
  }

  absl::StatusOr<std::vector<std::vector<float>>> ScoreTokens(
      absl::Span<const nn::ScoreRequest> requests) override {
    std::vector<std::vector<float>> out;
    for (const nn::ScoreRequest& r : requests)
      out.emplace_back(r.target_ids.size(), -static_cast<float>(r.source_ids[0]));
    MutexLock lock(&mutex_);
    scored_.push_back(static_cast<int>(requests.size()));
    return out;
  }

  void FailWith(absl::Status failure) {
    MutexLock lock(&mutex_);
    failure_ = std::move(failure);
  }
  // Sequences that begin with this source id get a logit that is not a number. Before any call.
  void Spoil(int32_t source_id) { spoiled_ = source_id; }
  // First source id of every request, in the order in which they were encoded.
  std::vector<int32_t> encoded() const {
    MutexLock lock(&mutex_);
    return encoded_;
  }
  // Pairs of every call of ScoreTokens.
  std::vector<int> scored() const {
    MutexLock lock(&mutex_);
    return scored_;
  }
  std::vector<int> rows_of_steps() const {
    MutexLock lock(&mutex_);
    return rows_of_steps_;
  }

 private:
  struct Row : nn::DecodeRow {
    int next = 0, last = 0, fed = 0;
    bool spoiled = false;
    const nn::ValueHead* head = nullptr;
    int position() const override { return fed; }
  };
  nn::T5Config config_;
  int32_t spoiled_ = -1;
  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> encoded_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> scored_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> rows_of_steps_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mellow::testing

#endif  // MELLOW_TESTS_TESTING_FAKE_SEQ2SEQ_MODEL_H_
