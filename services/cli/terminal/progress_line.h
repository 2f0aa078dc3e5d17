#ifndef MELLOW_SERVICES_CLI_TERMINAL_PROGRESS_LINE_H_
#define MELLOW_SERVICES_CLI_TERMINAL_PROGRESS_LINE_H_

#include <cstdio>
#include <string>

#include "common/base/steady_time.h"

namespace mellow::cli {

// How far a count of equal pieces of work is: in a terminal a bar on one line that is overwritten,
// else a plain line at every tenth. Not thread-safe.
class ProgressLine {
 public:
  // `done` of the `total` pieces were there before; the time that is left is guessed from the rest.
  ProgressLine(std::FILE* out, bool live, std::string what, size_t done, size_t total,
               SteadyTime begin);
  // Takes the bar away.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Advance(size_t pieces, SteadyTime now);

 private:
  void Show(SteadyTime now);

  std::FILE* const out_;
  const bool live_;
  const std::string what_;
  const size_t before_;
  const size_t total_;
  const SteadyTime begin_;
  size_t done_;
  size_t shown_tenths_;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TERMINAL_PROGRESS_LINE_H_
