#include "common/report/charts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "common/report/numbers.h"
#include "common/report/svg.h"
#include "common/report/ticks.h"
#include "common/text/unicode/utf8.h"

namespace mellow::report {
namespace {

using Anchor = Svg::Anchor;

constexpr int kWidth = 440;
constexpr double kRight = kWidth - 14;
constexpr double kLetter = 8;      // about the width of one at the font size of the style sheet,
constexpr double kBoldLetter = 9;  // of a name; in the widest of its fonts
constexpr double kTickLength = 4;
constexpr double kTickText = 17;    // from the axis to the baseline of its numbers
constexpr double kAxisHeight = 40;  // numbers and label below a plot
constexpr size_t kMostPoints = 400;
constexpr int kSeriesClasses = 4;

std::string SeriesClass(absl::string_view kind, size_t series) {
  const size_t n = series < kSeriesClasses ? series : 1 + (series - 1) % (kSeriesClasses - 1);
  return absl::StrCat(kind, " s", n);
}

size_t Letters(absl::string_view text) {
  return text::CountCodePoints(text::ReplaceInvalidUtf8(text));
}

// Those of East Asia and emoji are as wide as two others.
size_t LettersOf(char32_t c) { return c >= 0x1100 ? 2 : 1; }

// `text` in that much room, cut with an ellipsis when it must be.
std::string Fit(absl::string_view text, double room, double letter = kLetter) {
  const auto letters = static_cast<size_t>(std::max(1.0, room / letter));
  const std::string valid = text::ReplaceInvalidUtf8(text);
  size_t used = 0;
  size_t cut = 0;  // bytes that fit together with an ellipsis
  for (size_t bytes = 0; bytes < valid.size();) {
    const text::Utf8Char c = text::DecodeUtf8(valid, bytes);
    used += LettersOf(c.code_point);
    if (used > letters) return absl::StrCat(valid.substr(0, cut), "\xE2\x80\xA6");
    bytes += static_cast<size_t>(c.size);
    if (used < letters) cut = bytes;
  }
  return valid;
}

// A rectangle of the drawing with its two axes.
struct Plot {
  double left, top, right, bottom;
  Axis x, y;

  double X(double value) const { return left + x.Share(value) * (right - left); }
  double Y(double value) const { return bottom - y.Share(value) * (bottom - top); }
};

double WidestLabel(const Axis& axis) {
  size_t widest = 0;
  for (const std::string& label : axis.labels) widest = std::max(widest, label.size());
  return kLetter * static_cast<double>(widest);
}

void DrawXAxis(const Plot& plot, absl::string_view label, Svg* svg) {
  svg->Line("axis", plot.left, plot.bottom, plot.right, plot.bottom);
  // Every so many numbers that neighbors do not touch.
  const double pitch = (plot.right - plot.left) / static_cast<double>(plot.x.ticks.size() - 1);
  const auto every =
      static_cast<size_t>(std::max(1.0, std::ceil((WidestLabel(plot.x) + kLetter) / pitch)));
  for (size_t i = 0; i < plot.x.ticks.size(); ++i) {
    const double x = plot.X(plot.x.ticks[i]);
    svg->Line("axis", x, plot.bottom, x, plot.bottom + kTickLength);
    if (i % every != 0) continue;
    // The outermost numbers stay inside the drawing.
    const double half = kLetter * static_cast<double>(plot.x.labels[i].size()) / 2;
    const bool at_the_end = x + half > kWidth;
    const bool at_the_start = x - half < 0;
    svg->Text("tick",
              at_the_end     ? Anchor::kEnd
              : at_the_start ? Anchor::kStart
                             : Anchor::kMiddle,
              at_the_end     ? kWidth
              : at_the_start ? 0
                             : x,
              plot.bottom + kTickText, plot.x.labels[i]);
  }
  svg->Text("label", Anchor::kMiddle, (plot.left + plot.right) / 2, plot.bottom + kAxisHeight - 6,
            Fit(label, plot.right - plot.left));
}

void DrawYAxis(const Plot& plot, Svg* svg) {
  for (size_t i = 0; i < plot.y.ticks.size(); ++i) {
    const double y = plot.Y(plot.y.ticks[i]);
    svg->Line("grid", plot.left, y, plot.right, y);
    svg->Text("tick", Anchor::kEnd, plot.left - 6, y + 4, plot.y.labels[i]);
  }
}

std::string NothingToShow(absl::string_view title) {
  Svg svg(kWidth, 60, title, "no values");
  svg.Text("label", Anchor::kMiddle, kWidth / 2.0, 34, "no values");
  return std::move(svg).Finish();
}

// The mean of each of at most `most` groups of neighbors; values that are not finite are left out.
std::vector<double> GroupMeans(const std::vector<double>& values, size_t most) {
  const size_t groups = std::min(values.size(), most);
  std::vector<double> means;
  for (size_t g = 0; g < groups; ++g) {
    double sum = 0;
    int count = 0;
    for (size_t i = g * values.size() / groups; i < (g + 1) * values.size() / groups; ++i) {
      if (!std::isfinite(values[i])) continue;
      sum += values[i];
      ++count;
    }
    means.push_back(count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN());
  }
  return means;
}

struct Range {
  double lower = std::numeric_limits<double>::infinity();
  double upper = -std::numeric_limits<double>::infinity();

  void Add(double value) {
    if (!std::isfinite(value)) return;
    lower = std::min(lower, value);
    upper = std::max(upper, value);
  }
  void Add(const std::vector<double>& values) {
    for (const double value : values) Add(value);
  }
  bool empty() const { return lower > upper; }
};

void DrawSeries(const Plot& plot, const LineSeries& series, size_t number, Svg* svg) {
  const std::vector<double> x = GroupMeans(series.x, kMostPoints);
  const std::vector<double> y = GroupMeans(series.y, kMostPoints);
  std::vector<std::pair<double, double>> run;  // between two values that are not there
  for (size_t i = 0; i <= y.size(); ++i) {
    if (i < y.size() && std::isfinite(x[i]) && std::isfinite(y[i])) {
      run.emplace_back(plot.X(x[i]), plot.Y(y[i]));
      continue;
    }
    if (run.size() > 1) svg->Polyline(SeriesClass("curve", number), run);
    if (run.size() == 1) svg->Circle(SeriesClass("dot", number), run[0].first, run[0].second, 3);
    run.clear();
  }
  for (size_t i = y.size(); i > 0; --i) {
    if (!std::isfinite(x[i - 1]) || !std::isfinite(y[i - 1])) continue;
    svg->Circle(SeriesClass("dot", number), plot.X(x[i - 1]), plot.Y(y[i - 1]), 3.5,
                absl::StrCat(Number(x[i - 1]), ": ", Number(y[i - 1])));
    break;
  }
}

constexpr const char* kBlocks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                   "\u2585", "\u2586", "\u2587", "\u2588"};

}  // namespace

std::string LineSvg(const LineChart& chart) {
  Range x, y;
  for (const LineSeries& series : chart.series) {
    for (size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
      if (!std::isfinite(series.x[i]) || !std::isfinite(series.y[i])) continue;
      x.Add(series.x[i]);
      y.Add(series.y[i]);
    }
  }
  if (x.empty()) return NothingToShow(chart.title);
  constexpr int kHeight = 210;
  const bool legend = chart.series.size() > 1;
  Svg svg(kWidth, kHeight, chart.title,
          absl::StrCat("values from ", Number(y.lower), " to ", Number(y.upper)));
  Plot plot{.top = legend ? 30.0 : 12.0, .right = kRight, .bottom = kHeight - kAxisHeight};
  plot.y = MakeAxis(y.lower, y.upper);
  plot.x = MakeAxis(x.lower, x.upper, {.intervals = 6, .integers = true});
  plot.left = 12 + WidestLabel(plot.y);
  DrawYAxis(plot, &svg);
  DrawXAxis(plot, chart.x_label, &svg);
  double legend_x = plot.left;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const LineSeries& series = chart.series[s];
    DrawSeries(plot, series, legend ? s : 1, &svg);
    if (!legend) continue;
    svg.Circle(SeriesClass("dot", s), legend_x + 5, 13, 4);
    svg.Text("label", Anchor::kStart, legend_x + 14, 17, series.label);
    legend_x += 30 + kLetter * static_cast<double>(Letters(series.label));
  }
  return std::move(svg).Finish();
}

std::vector<int64_t> Bins::Fill(const std::vector<double>& values) const {
  std::vector<int64_t> counts(static_cast<size_t>(count), 0);
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    const double bin = std::floor((value - lower) / width);
    ++counts[static_cast<size_t>(std::clamp(bin, 0.0, count - 1.0))];
  }
  return counts;
}

Bins BinsOfIntegers(const std::vector<std::vector<double>>& values, int most) {
  Range range;
  for (const std::vector<double>& list : values) range.Add(list);
  if (range.empty()) return {};
  const double first = std::floor(range.lower);
  const double numbers = std::floor(range.upper) - first + 1;
  const double width = std::max(1.0, std::ceil(numbers / most));
  return {.lower = first, .width = width, .count = static_cast<int>(std::ceil(numbers / width))};
}

std::string HistogramSvg(const HistogramChart& chart) {
  constexpr double kPanel = 92, kLabel = 22, kGap = 14;
  int64_t largest = 0;
  for (const HistogramPanel& panel : chart.panels) {
    for (const int64_t count : panel.counts) largest = std::max(largest, count);
  }
  if (largest == 0) return NothingToShow(chart.title);
  const int height = static_cast<int>(
      static_cast<double>(chart.panels.size()) * (kLabel + kPanel + kGap) + kAxisHeight);
  Svg svg(kWidth, height, chart.title,
          absl::StrCat(chart.panels.size(), " histograms with the same axes"));
  const double upper = chart.bins.lower + chart.bins.width * chart.bins.count;
  Plot plot{.right = kRight};
  plot.y = MakeAxis(0, static_cast<double>(largest), {.intervals = 3, .integers = true});
  plot.x = MakeAxis(chart.bins.lower, upper, {.intervals = 5});
  plot.left = 12 + WidestLabel(plot.y);
  // The bars fill the plot, whatever the next round number is.
  std::vector<double> ticks;
  std::vector<std::string> labels;
  for (size_t i = 0; i < plot.x.ticks.size(); ++i) {
    if (plot.x.ticks[i] < chart.bins.lower - 1e-9 || plot.x.ticks[i] > upper + 1e-9) continue;
    ticks.push_back(plot.x.ticks[i]);
    labels.push_back(plot.x.labels[i]);
  }
  plot.x = {.lower = chart.bins.lower, .upper = upper, .ticks = ticks, .labels = labels};
  for (size_t p = 0; p < chart.panels.size(); ++p) {
    const HistogramPanel& panel = chart.panels[p];
    plot.top = static_cast<double>(p) * (kLabel + kPanel + kGap) + kLabel;
    plot.bottom = plot.top + kPanel;
    DrawYAxis(plot, &svg);
    for (size_t b = 0; b < panel.counts.size(); ++b) {
      const double from = chart.bins.lower + chart.bins.width * static_cast<double>(b);
      if (panel.counts[b] == 0) continue;
      const double left = plot.X(from), right = plot.X(from + chart.bins.width);
      const double top = plot.Y(static_cast<double>(panel.counts[b]));
      svg.Rect(SeriesClass("bar", p), left + 0.5, top, std::max(0.5, right - left - 1),
               plot.bottom - top,
               absl::StrCat(Number(from), " to ", Number(from + chart.bins.width), ": ",
                            panel.counts[b]));
    }
    std::string label = panel.label;
    if (std::isfinite(panel.mean)) {
      const double x = plot.X(panel.mean);
      svg.Line("mean", x, plot.top, x, plot.bottom);
      absl::StrAppend(&label, ", mean ", Number(panel.mean));
    }
    svg.Text(SeriesClass("name", p), Anchor::kStart, plot.left, plot.top - 7,
             Fit(label, plot.right - plot.left, kBoldLetter));
    if (p + 1 < chart.panels.size()) {
      svg.Line("axis", plot.left, plot.bottom, plot.right, plot.bottom);
    } else {
      DrawXAxis(plot, chart.x_label, &svg);
    }
  }
  return std::move(svg).Finish();
}

std::string HistogramText(const HistogramChart& chart) {
  size_t widest = 0;
  for (const HistogramPanel& panel : chart.panels) widest = std::max(widest, Letters(panel.label));
  int64_t largest = 1;
  for (const HistogramPanel& panel : chart.panels) {
    for (const int64_t count : panel.counts) largest = std::max(largest, count);
  }
  std::string out;
  for (const HistogramPanel& panel : chart.panels) {
    absl::StrAppend(&out, panel.label, std::string(widest - Letters(panel.label) + 2, ' '));
    for (const int64_t count : panel.counts) {
      const int64_t block = count == 0 ? -1 : (count * 8 - 1) / largest;
      out += block < 0 ? " " : kBlocks[std::min<int64_t>(block, 7)];
    }
    out += "\n";
  }
  const std::string from = Number(chart.bins.lower);
  const std::string to = Number(chart.bins.lower + chart.bins.width * chart.bins.count);
  const auto room = static_cast<size_t>(chart.bins.count);
  absl::StrAppend(
      &out, std::string(widest + 2, ' '), from,
      std::string(room > from.size() + to.size() ? room - from.size() - to.size() : 1, ' '), to,
      "  ", chart.x_label, "\n");
  return out;
}

std::string IntervalSvg(const IntervalChart& chart) {
  constexpr double kRow = 44;
  Range range;
  for (const IntervalRow& row : chart.rows) {
    range.Add(row.interval.mean);
    range.Add(row.interval.lower);
    range.Add(row.interval.upper);
  }
  if (range.empty()) return NothingToShow(chart.title);
  if (chart.signed_values) range.Add(0);
  Svg svg(kWidth, static_cast<int>(kRow * static_cast<double>(chart.rows.size()) + kAxisHeight + 6),
          chart.title, absl::StrCat(chart.rows.size(), " means with their intervals"));
  Plot plot{.left = 14, .top = 0, .right = kRight};
  plot.bottom = kRow * static_cast<double>(chart.rows.size()) + 4;
  plot.x = MakeAxis(range.lower, range.upper, {.intervals = 5});
  for (const double tick : plot.x.ticks) {
    svg.Line("grid", plot.X(tick), plot.top, plot.X(tick), plot.bottom);
  }
  const int decimals = DecimalsFor({range.lower, range.upper});
  for (size_t r = 0; r < chart.rows.size(); ++r) {
    const IntervalRow& row = chart.rows[r];
    const auto series = static_cast<size_t>(row.series);
    const double y = kRow * static_cast<double>(r);
    const stats::MeanInterval& i = row.interval;
    const std::string value =
        chart.signed_values
            ? absl::StrCat(Signed(i.mean, decimals), " ", SignedInterval(i, decimals))
            : absl::StrCat(Fixed(i.mean, decimals), " ", Interval(i, decimals));
    const double value_room = kLetter * static_cast<double>(value.size());
    svg.Text("value", Anchor::kEnd, plot.right, y + 16, value);
    svg.Text(SeriesClass("name", series), Anchor::kStart, plot.left, y + 16,
             Fit(row.label, plot.right - plot.left - value_room - kLetter, kBoldLetter));
    // Beside the interval only: the row's text stays free.
    if (chart.signed_values) svg.Line("zero", plot.X(0), y + 22, plot.X(0), y + 41);
    if (!std::isfinite(i.mean)) continue;
    svg.Line(SeriesClass("whisker", series), plot.X(i.lower), y + 31, plot.X(i.upper), y + 31);
    for (const double end : {i.lower, i.upper})
      svg.Line(SeriesClass("whisker", series), plot.X(end), y + 26, plot.X(end), y + 36);
    svg.Circle(SeriesClass("dot", series), plot.X(i.mean), y + 31, 5,
               absl::StrCat(row.label, ": ", value));
  }
  DrawXAxis(plot, chart.x_label, &svg);
  return std::move(svg).Finish();
}

std::string ChangeSvg(const ChangeChart& chart) {
  constexpr int kHeight = 420, kCells = 40;
  constexpr double kTop = 28;
  std::map<std::pair<int, int>, int64_t> cells;
  for (size_t i = 0; i < std::min(chart.before.size(), chart.after.size()); ++i) {
    const double x = chart.before[i], y = chart.after[i];
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    const auto cell = [](double value) {
      return static_cast<int>(std::round(std::clamp(value, 0.0, 1.0) * kCells));
    };
    ++cells[{cell(x), cell(y)}];
  }
  if (cells.empty()) return NothingToShow(chart.title);
  Svg svg(kWidth, kHeight, chart.title,
          "one dot where prompts are, larger for more of them; below the diagonal the second arm "
          "is less toxic");
  Plot plot{.top = kTop, .right = kRight, .bottom = kHeight - kAxisHeight};
  plot.x = MakeAxis(0, 1, {.intervals = 5});
  plot.y = plot.x;
  plot.left = 12 + WidestLabel(plot.y);
  // Room for dots at 0 and 1.
  for (Axis* axis : {&plot.x, &plot.y}) {
    axis->lower = -0.06;
    axis->upper = 1.06;
  }
  DrawYAxis(plot, &svg);
  svg.Polygon("better", {{plot.X(0), plot.Y(0)}, {plot.X(1), plot.Y(0)}, {plot.X(1), plot.Y(1)}});
  svg.Line("zero", plot.X(0), plot.Y(0), plot.X(1), plot.Y(1));
  for (const auto& [cell, count] : cells) {
    const double x = static_cast<double>(cell.first) / kCells;
    const double y = static_cast<double>(cell.second) / kCells;
    svg.Circle("dot s1 many", plot.X(x), plot.Y(y),
               std::min(14.0, 2.5 * std::sqrt(static_cast<double>(count))),
               absl::StrFormat("before %.3f, after %.3f: %s", x, y, Plural(count, "prompt")));
  }
  svg.Text("label", Anchor::kStart, 2, 14, Fit(chart.after_label, kWidth - 2));
  svg.Text("note", Anchor::kEnd, plot.X(0.94), plot.Y(0.06), "less toxic after");
  svg.Text("note", Anchor::kStart, plot.X(0.06), plot.Y(0.92), "more toxic after");
  DrawXAxis(plot, chart.before_label, &svg);
  return std::move(svg).Finish();
}

std::string Sparkline(const std::vector<double>& values, int width) {
  const std::vector<double> means = GroupMeans(values, static_cast<size_t>(std::max(1, width)));
  Range range;
  range.Add(means);
  std::string out;
  for (const double mean : means) {
    if (!std::isfinite(mean)) {
      out += ' ';
      continue;
    }
    const double share =
        range.upper > range.lower ? (mean - range.lower) / (range.upper - range.lower) : 0.5;
    out += kBlocks[std::clamp(static_cast<int>(share * 8), 0, 7)];
  }
  return out;
}

}  // namespace mellow::report
