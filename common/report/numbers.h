#ifndef MELLOW_COMMON_REPORT_NUMBERS_H_
#define MELLOW_COMMON_REPORT_NUMBERS_H_

// Numbers as people read them in a report. ASCII only; what is not finite is "n/a".

#include <cstdint>
#include <initializer_list>
#include <string>

#include "common/stats/bootstrap.h"

namespace mellow::report {

// Decimals that give the largest of `values` about four significant digits: 4 below 1, 0 from
// 1000 on. Numbers of one row share them, so that they can be compared.
[[nodiscard]] int DecimalsFor(std::initializer_list<double> values);

// "0.0355"; never "-0.0000". A size of 1e15 or more, or one that the decimals would show as zero
// although it is none, is given as "1.2e-07".
[[nodiscard]] std::string Fixed(double value, int decimals);
// The same with + or -.
[[nodiscard]] std::string Signed(double value, int decimals);
// Fixed with DecimalsFor(value).
[[nodiscard]] std::string Number(double value);
// A share as "12.3 %", with sign "+12.3 %".
[[nodiscard]] std::string Percent(double share);
[[nodiscard]] std::string SignedPercent(double share);
// 3,538,944
[[nodiscard]] std::string Count(int64_t number);
// "[0.4000, 0.5000]": bounds always have these decimals; a tiny one keeps its sign.
[[nodiscard]] std::string Interval(const stats::MeanInterval& interval, int decimals);
[[nodiscard]] std::string SignedInterval(const stats::MeanInterval& interval, int decimals);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_NUMBERS_H_
