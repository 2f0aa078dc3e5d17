#ifndef MELLOW_COMMON_REPORT_CHARTS_H_
#define MELLOW_COMMON_REPORT_CHARTS_H_

// The report's charts: plain values in, one <svg> out (svg.h), about 440 units wide so that its
// text stays readable on a phone. Series are told apart by place or label, and by the classes
// s0, s1, s2, s3 (then again from s1). Values that are not finite are left out. Any input gives a
// chart; one without values says so.

#include <cstdint>
#include <string>
#include <vector>

#include "common/stats/bootstrap.h"

namespace mellow::report {

struct LineSeries {
  std::string label;
  std::vector<double> x;  // rising
  std::vector<double> y;  // as x
};

struct LineChart {
  std::string title;
  std::string x_label;
  std::vector<LineSeries> series;  // a legend is drawn for more than one
};
[[nodiscard]] std::string LineSvg(const LineChart& chart);

// Counts of values in bins of one width; the last bin contains its upper bound.
struct Bins {
  double lower = 0;
  double width = 1;
  int count = 1;

  [[nodiscard]] std::vector<int64_t> Fill(const std::vector<double>& values) const;
};
// Bins for whole numbers from the smallest to the largest of all values, at most `most` of them,
// each a whole number wide.
[[nodiscard]] Bins BinsOfIntegers(const std::vector<std::vector<double>>& values, int most);

struct HistogramPanel {
  std::string label;
  std::vector<int64_t> counts;  // Bins::count
  double mean = 0;              // drawn as a mark; not finite: no mark
};
struct HistogramChart {
  std::string title;
  std::string x_label;
  Bins bins;
  std::vector<HistogramPanel> panels;  // one above the other, with the same axes
};
[[nodiscard]] std::string HistogramSvg(const HistogramChart& chart);
// The same as lines of text with block characters.
[[nodiscard]] std::string HistogramText(const HistogramChart& chart);

struct IntervalRow {
  std::string label;
  stats::MeanInterval interval;
  int series = 0;
};
struct IntervalChart {
  std::string title;
  std::string x_label;
  std::vector<IntervalRow> rows;
  bool signed_values = false;  // differences: a line at 0, and signs
};
[[nodiscard]] std::string IntervalSvg(const IntervalChart& chart);

// Every prompt at (before, after), both in [0, 1]; prompts that fall together make a larger dot.
struct ChangeChart {
  std::string title;
  std::string before_label;
  std::string after_label;
  std::vector<double> before;
  std::vector<double> after;  // as before
};
[[nodiscard]] std::string ChangeSvg(const ChangeChart& chart);

// At most `width` block characters for a series of numbers, from its least to its greatest; groups
// of values are drawn by their mean.
[[nodiscard]] std::string Sparkline(const std::vector<double>& values, int width);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_CHARTS_H_
