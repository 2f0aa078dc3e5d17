#ifndef MELLOW_COMMON_EVAL_PROMOTION_GATES_H_
#define MELLOW_COMMON_EVAL_PROMOTION_GATES_H_

// May an adapter become what users get? What the evaluation must have shown of it.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/eval/evaluation.h"

namespace mellow::eval {

struct GateResult {
  std::string name;    // "toxicity", "rougeL"
  bool passed = false;
  std::string detail;  // with the figures, for people
};

// In this order:
//   toxicity  the interval of (arm - baseline), of the first scoring, lies below 0;
//   rougeL    the interval of (arm - baseline) lies above -max_rouge_loss, so that a larger loss
//             is excluded and not merely unseen. Not measured (no references): not passed.
// InvalidArgument: max_rouge_loss is negative or not finite; NotFound: `arm` is not compared with
// the baseline (the arms that are, are named).
[[nodiscard]] absl::StatusOr<std::vector<GateResult>> PromotionGates(const Evaluation& evaluation,
                                                                     absl::string_view arm,
                                                                     double max_rouge_loss);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_PROMOTION_GATES_H_
