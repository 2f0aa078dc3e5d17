#ifndef MELLOW_SERVICES_CLI_TRAIN_VIEW_BASE_H_
#define MELLOW_SERVICES_CLI_TRAIN_VIEW_BASE_H_

// What the views of all methods have in common.

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/json/value.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/train/train_view.h"

namespace mellow::cli {

class JsonViewBase : public TrainView {
 public:
  explicit JsonViewBase(std::FILE* out) : out_(out) {}

  void ShowData(const std::string& lines) override { (void)lines; }
  void ShowActivity(const std::string& activity) override { (void)activity; }

 protected:
  void Print(const json::Value& object) {
    std::fprintf(out_, "%s\n", json::Write(object).c_str());
    std::fflush(out_);
  }

 private:
  std::FILE* const out_;
};

// Lines, below which a terminal has one that is overwritten.
class TableViewBase : public TrainView {
 public:
  TableViewBase(std::FILE* out, bool live) : out_(out), live_(live) {}

  void ShowData(const std::string& lines) override { Print(lines); }
  void ShowActivity(const std::string& activity) override {
    ShowLine(activity.empty()
                 ? ""
                 : absl::StrCat("  ", PrintableLine(activity)).substr(0, kTerminalColumns - 1));
  }

 protected:
  // `lines` with their ends.
  void Print(const std::string& lines) {
    ClearLine();
    std::fputs(lines.c_str(), out_);
    std::fflush(out_);
  }
  // A row of the table. The header comes first, and in a terminal again with every screenful.
  void PrintRow(const std::string& header, const std::string& row) {
    const bool again = rows_ == 0 || (live_ && rows_ % kRowsPerScreen == 0);
    ++rows_;
    Print(absl::StrCat(again ? header + "\n" : "", row, "\n"));
  }
  // The overwritten line of a terminal; empty: none.
  void ShowLine(const std::string& line) {
    if (!live_) return;
    ClearLine();
    std::fputs(line.c_str(), out_);
    std::fflush(out_);
    shown_ = !line.empty();
  }
  bool line_shown() const { return shown_; }
  int rows() const { return rows_; }

 private:
  static constexpr int kRowsPerScreen = 20;
  static constexpr size_t kTerminalColumns = 80;

  void ClearLine() {
    if (shown_) std::fputs("\r\033[K", out_);
    shown_ = false;
  }

  std::FILE* const out_;
  const bool live_;
  int rows_ = 0;
  bool shown_ = false;
};

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_VIEW_BASE_H_
