#include "services/cli/terminal/progress_line.h"

#include <algorithm>
#include <utility>

#include "common/base/steady_time.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr size_t kBarWidth = 30;
constexpr size_t kTenths = 10;

}  // namespace

ProgressLine::ProgressLine(std::FILE* out, bool live, std::string what, size_t done, size_t total,
                           SteadyTime begin)
    : out_(out),
      live_(live),
      what_(std::move(what)),
      before_(done),
      total_(std::max<size_t>(1, total)),
      begin_(begin),
      done_(done),
      shown_tenths_(done * kTenths / total_) {
  if (live_) Show(begin);
}

ProgressLine::~ProgressLine() {
  if (live_) std::fputs("\r\033[K", out_);
  std::fflush(out_);
}

void ProgressLine::Advance(size_t pieces, SteadyTime now) {
  done_ += pieces;
  const size_t tenths = done_ * kTenths / total_;
  if (!live_ && tenths == shown_tenths_) return;
  shown_tenths_ = tenths;
  Show(now);
}

void ProgressLine::Show(SteadyTime now) {
  const double fresh = static_cast<double>(done_ - before_);
  const std::string left =
      fresh == 0 ? "-"
                 : ShortDuration(absl::ToDoubleSeconds(now - begin_) / fresh *
                                 static_cast<double>(total_ - std::min(done_, total_)));
  if (live_) {
    const size_t full = std::min(kBarWidth, done_ * kBarWidth / total_);
    std::fprintf(out_, "\r\033[K%s [%s%s] %zu/%zu  ETA %s", what_.c_str(),
                 std::string(full, '=').c_str(), std::string(kBarWidth - full, ' ').c_str(), done_,
                 total_, left.c_str());
  } else {
    std::fprintf(out_, "%s: %zu/%zu, ETA %s\n", what_.c_str(), done_, total_, left.c_str());
  }
  std::fflush(out_);
}

}  // namespace mellow::cli
