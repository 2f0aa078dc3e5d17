#ifndef MELLOW_COMMON_STATS_SAMPLE_SIZE_H_
#define MELLOW_COMMON_STATS_SAMPLE_SIZE_H_

#include <optional>

namespace mellow::stats {

// How sure a test is to be: `alpha` two-sided, both in (0, 1).
struct TestPower {
  double alpha = 0.05;
  double power = 0.8;
};

// Sample sizes of z-tests by the usual normal approximation (Cohen, "Statistical power analysis for
// the behavioral sciences", 1988, chapter 2; Chow, Shao and Wang, "Sample size calculations in
// clinical research", 2003, chapter 3), with z the normal quantile:
//   paired:    n = ((z(1 - alpha/2) + z(power)) * sd / change)^2        pairs
//   unpaired:  n = (z(1 - alpha/2) + z(power))^2 * (sd_a^2 + sd_b^2) / change^2   of each sample
// Not rounded. Nothing where no finite number is: a change of 0, an sd that is negative or not
// finite, alpha or power outside (0, 1).
[[nodiscard]] std::optional<double> PairedSampleSize(double sd_of_differences, double change,
                                                     const TestPower& test);
[[nodiscard]] std::optional<double> UnpairedSampleSize(double sd_a, double sd_b, double change,
                                                       const TestPower& test);

}  // namespace mellow::stats

#endif  // MELLOW_COMMON_STATS_SAMPLE_SIZE_H_
