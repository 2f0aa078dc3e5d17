#ifndef MELLOW_COMMON_EVAL_PROMOTION_GATES_H_
#define MELLOW_COMMON_EVAL_PROMOTION_GATES_H_

// May an adapter become what users get? What the evaluation must have shown of it.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/eval/evaluation.h"
#include "common/eval/gates.h"

namespace mellow::eval {

struct GateOptions {
  double max_rouge_loss = 0.02;  // 0 or more
  // The hash of the adapter that users get now; empty: none was promoted, they get no particular
  // one.
  std::string champion_sha256;
};

// Fewer pairs say nothing that a promotion may rest on, whatever their interval.
inline constexpr int64_t kMinGatePairs = 30;

// In this order:
//   statistics  at least kMinGatePairs pairs, confidence 95 % or more, alpha 5 % or less, 1,000
//             resamples and permutations or more: nobody made the intervals narrow by asking less;
//   baseline  what the arm is compared with is the base model or the champion;
//   toxicity  the interval of (arm - baseline), of the first scoring, lies below 0, and the
//             permutation test agrees (Verdict::kBetter);
//   judge     of each independent judge, if there are any: the same under its first scoring;
//   rougeL    RougeLossGate.
// InvalidArgument: max_rouge_loss is negative or not finite; NotFound: `arm` is not compared with
// the baseline (the arms that are, are named).
[[nodiscard]] absl::StatusOr<std::vector<GateResult>> PromotionGates(const Evaluation& evaluation,
                                                                     absl::string_view arm,
                                                                     const GateOptions& options);

}  // namespace mellow::eval

#endif  // MELLOW_COMMON_EVAL_PROMOTION_GATES_H_
