#ifndef MELLOW_SERVICES_CLI_TERMINAL_HISTOGRAM_H_
#define MELLOW_SERVICES_CLI_TERMINAL_HISTOGRAM_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace mellow::cli {

struct HistogramBin {
  double begin = 0;  // included
  double end = 0;    // excluded; of the last one there is no end when `open`
  bool open = false;
  size_t count = 0;
};

// Bins of one round width (1, 2 or 5 times a power of ten) from 0 on, at most twelve; the last one
// also takes the highest hundredth, which would else stretch the picture. `values` are at least 0.
[[nodiscard]] std::vector<HistogramBin> LengthBins(absl::Span<const double> values);
// Ten bins of [0, 1]; 1 belongs to the last.
[[nodiscard]] std::vector<HistogramBin> ShareBins(absl::Span<const double> values);

// One line per bin, at most `width` characters: "  200-399  ######## 1234". `blocks`: for a
// terminal, bars of block characters with eighths; else of '#'.
[[nodiscard]] std::string DrawHistogram(absl::Span<const HistogramBin> bins, int width,
                                        bool blocks);

// The columns of the terminal behind a file descriptor; 80 when it is none.
[[nodiscard]] int TerminalWidth(int fd);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_HISTOGRAM_H_
