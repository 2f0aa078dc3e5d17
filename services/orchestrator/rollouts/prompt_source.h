#ifndef MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_PROMPT_SOURCE_H_
#define MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_PROMPT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/text/tokenizer.h"
#include "services/orchestrator/base/run_config.h"
#include "services/orchestrator/base/types.h"

namespace mellow::orchestrator {

// The prompts of a run in the order they are drawn. The draw with a given index is always the same,
// so there is no cursor to keep. Thread-safe.
class PromptSource {
 public:
  virtual ~PromptSource() = default;
  [[nodiscard]] virtual absl::StatusOr<Prompt> Draw(uint64_t prompt_index) const = 0;
};

// The filtered rows of a file, each epoch in a new permutation of the run's seed; tokenized when
// drawn. InvalidArgument naming the field: the file cannot be read, a column that it does not have,
// no row passes the filter. `tokenizer` must outlive the source.
[[nodiscard]] absl::StatusOr<std::unique_ptr<PromptSource>> OpenPromptSource(
    const RunConfig& config, const text::Tokenizer* tokenizer);

// The prompts of one step, in order.
[[nodiscard]] absl::StatusOr<std::vector<Prompt>> StepPrompts(const PromptSource& source,
                                                              const RunConfig& config, int step);

// The length that the LengthSampler draws for a prompt; none when the run has no sampler.
[[nodiscard]] std::optional<int> DrawLength(const RunConfig& config, uint64_t prompt_index);

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_ROLLOUTS_PROMPT_SOURCE_H_
