#ifndef MELLOW_TESTS_COMMON_REPORT_SAMPLE_INPUT_H_
#define MELLOW_TESTS_COMMON_REPORT_SAMPLE_INPUT_H_

// An evaluation as `mellow evaluate` would write it, of made-up texts, with every number computed
// from them: a rude baseline and a polite arm, two judges, references, slices.

#include <cstdint>
#include <string>

#include "common/report/input.h"

namespace mellow::report {

struct SampleOptions {
  int prompts = 60;
  int samples = 1;
  bool references = true;
  // How much less often the arm is rude: 0 leaves nothing but noise.
  double improvement = 0.9;
  // Put into every text and name of the input.
  std::string hostile;
};

[[nodiscard]] eval::Evaluation SampleEvaluation(const SampleOptions& options = {});
// With a PPO run that started from an SFT run, promotions, ratings and marked words.
[[nodiscard]] ReportInput SampleInput(const SampleOptions& options = {});

}  // namespace mellow::report

#endif  // MELLOW_TESTS_COMMON_REPORT_SAMPLE_INPUT_H_
