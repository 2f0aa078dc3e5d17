#include "services/cli/terminal/histogram.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/quantile.h"

namespace mellow::cli {
namespace {

constexpr int kMostBins = 12;
constexpr double kStretched = 0.99;
constexpr int kDefaultWidth = 80;
constexpr int kNarrowestBar = 8;

double RoundStep(double least) {
  double step = std::pow(10, std::floor(std::log10(std::max(least, 1.0))));
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    if (step * factor >= least) return step * factor;
  }
  return step * 10;
}

std::vector<HistogramBin> Fill(absl::Span<const double> values, double step, size_t count) {
  std::vector<HistogramBin> bins(count);
  for (size_t b = 0; b < count; ++b)
    bins[b] = {step * static_cast<double>(b), step * static_cast<double>(b + 1)};
  for (const double value : values)
    ++bins[std::min(count - 1, static_cast<size_t>(value / step))].count;
  return bins;
}

std::string Label(const HistogramBin& bin) {
  if (bin.end - bin.begin < 1) return absl::StrFormat("%.1f-%.1f", bin.begin, bin.end);
  if (bin.open) return absl::StrFormat("%.0f+", bin.begin);
  if (bin.end - bin.begin == 1) return absl::StrFormat("%.0f", bin.begin);
  return absl::StrFormat("%.0f-%.0f", bin.begin, bin.end - 1);
}

std::string Bar(double share, int room, bool blocks) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double length = share * room;
  if (!blocks) {
    const auto full = static_cast<size_t>(std::lround(length));
    return std::string(share > 0 ? std::max<size_t>(1, full) : 0, '#');
  }
  const int eighths = std::max(share > 0 ? 1 : 0, static_cast<int>(std::lround(length * 8)));
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

}  // namespace

std::vector<HistogramBin> LengthBins(absl::Span<const double> values) {
  if (values.empty()) return {};
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double high = QuantileOfSorted(sorted, kStretched);
  const double step = RoundStep((high + 1) / kMostBins);
  const size_t count = static_cast<size_t>(high / step) + 1;
  std::vector<HistogramBin> bins = Fill(values, step, count);
  bins.back().open = sorted.back() >= bins.back().end;
  return bins;
}

std::vector<HistogramBin> ShareBins(absl::Span<const double> values) {
  return values.empty() ? std::vector<HistogramBin>() : Fill(values, 0.1, 10);
}

std::string DrawHistogram(absl::Span<const HistogramBin> bins, int width, bool blocks) {
  size_t label_width = 0;
  size_t most = 1;
  for (const HistogramBin& bin : bins) {
    label_width = std::max(label_width, Label(bin).size());
    most = std::max(most, bin.count);
  }
  const int used = static_cast<int>(label_width + absl::StrCat(most).size()) + 5;
  const int room = std::max(kNarrowestBar, width - used);
  std::string out;
  for (const HistogramBin& bin : bins) {
    const double share = static_cast<double>(bin.count) / static_cast<double>(most);
    absl::StrAppend(&out, "  ", absl::StrFormat("%*s", label_width, Label(bin)), "  ",
                    Bar(share, room, blocks), bin.count > 0 ? " " : "", bin.count, "\n");
  }
  return out;
}

int TerminalWidth(int fd) {
  winsize size = {};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultWidth;
}

}  // namespace mellow::cli
