#ifndef MELLOW_COMMON_REPORT_LINEAGE_H_
#define MELLOW_COMMON_REPORT_LINEAGE_H_

#include <string>
#include <vector>

#include "common/report/input.h"

namespace mellow::report {

// One run that made the weights of an arm, or the weights of another run's start.
struct Origin {
  std::string kind;  // "PPO" or "SFT"
  std::string run_id;
  std::string run_name;
  std::string spec_sha256;
  int32_t step = 0;   // of the run after which it had these weights
  AdapterId adapter;  // version 0 when the run gave it none (SFT)
  std::string start;  // what it started from, in words
};

// How an arm came to be, newest run first.
struct ArmLineage {
  std::string arm;
  std::string sha256;           // of the arm's adapter; empty: the base model
  std::vector<Origin> origins;  // empty: the base model, or no run of the cluster made it
};

// One for every arm of the evaluation. Weights are the same when their hashes are: a version that
// was published again has another number and the same run.
[[nodiscard]] std::vector<ArmLineage> TraceArms(const eval::Evaluation& evaluation,
                                                const ClusterHistory& cluster);

// What of the cluster has to do with these arms: the runs that made them, and the promotions of and
// away from what those made.
[[nodiscard]] ClusterHistory OfArms(const ClusterHistory& cluster,
                                    const std::vector<ArmLineage>& arms);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_LINEAGE_H_
