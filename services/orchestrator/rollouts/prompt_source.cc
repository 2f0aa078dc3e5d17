#include "services/orchestrator/rollouts/prompt_source.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "common/base/status.h"
#include "common/data/data_spec.h"

namespace mellow::orchestrator {
namespace {

// Second key word of the length draws: keeps them apart from every other use of the run's seed.
constexpr uint32_t kLengthStream = 0x4c454e53;

class DatasetPromptSource : public PromptSource {
 public:
  DatasetPromptSource(const RunConfig& config, data::Dataset dataset, data::PromptTemplate prompt,
                      std::unique_ptr<data::ShuffledIndices> order,
                      const text::Tokenizer* tokenizer)
      : config_(config),
        dataset_(std::move(dataset)),
        template_(std::move(prompt)),
        order_(std::move(order)),
        tokenizer_(tokenizer) {}

  absl::StatusOr<Prompt> Draw(uint64_t prompt_index) const override {
    const data::Row& row = dataset_.rows()[order_->At(prompt_index)];
    absl::StatusOr<text::FittedPrompt> prompt =
        template_.Encode(row, *tokenizer_, config_.data.max_source_tokens.value_or(0));
    if (!prompt.ok()) {
      return data::BadField(
          "data.path", Annotate(prompt.status(), absl::StrCat(dataset_.path(), ":", row.line)));
    }
    return Prompt{prompt_index, std::move(prompt->ids), DrawLength(config_, prompt_index)};
  }

 private:
  const RunConfig config_;
  const data::Dataset dataset_;
  const data::PromptTemplate template_;
  const std::unique_ptr<data::ShuffledIndices> order_;
  const text::Tokenizer* const tokenizer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PromptSource>> OpenPromptSource(const RunConfig& config,
                                                               const text::Tokenizer* tokenizer) {
  MELLOW_ASSIGN_OR_RETURN(data::SelectedRows rows, data::SelectRows(config.data));
  MELLOW_ASSIGN_OR_RETURN(std::unique_ptr<data::ShuffledIndices> order,
                          data::DrawOrder(rows, config.seed));
  return std::make_unique<DatasetPromptSource>(config, std::move(rows.train),
                                               std::move(rows.prompt), std::move(order), tokenizer);
}

absl::StatusOr<std::vector<Prompt>> StepPrompts(const PromptSource& source, const RunConfig& config,
                                                int step) {
  const uint64_t first = static_cast<uint64_t>(step - 1) * config.batch_size;
  std::vector<Prompt> prompts;
  for (int i = 0; i < config.batch_size; ++i) {
    MELLOW_ASSIGN_OR_RETURN(Prompt prompt, source.Draw(first + i));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::optional<int> DrawLength(const RunConfig& config, uint64_t prompt_index) {
  const RolloutSampling& sampling = config.sampling;
  if (!sampling.length_sampler_min || !sampling.length_sampler_max) return std::nullopt;
  const double uniform = PhiloxUniform(
      {static_cast<uint32_t>(prompt_index), static_cast<uint32_t>(prompt_index >> 32), 0, 0},
      {config.seed, kLengthStream});
  const int count = *sampling.length_sampler_max - *sampling.length_sampler_min;
  return *sampling.length_sampler_min + static_cast<int>(uniform * count);
}

}  // namespace mellow::orchestrator
