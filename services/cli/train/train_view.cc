#include "services/cli/train/train_view.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/json/value.h"
#include "services/cli/cluster/adapter_json.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::Run;
using orchestrator::v1::Step;

constexpr int kStepsAScreen = 20;
constexpr size_t kTerminalColumns = 80;

class JsonView : public TrainView {
 public:
  explicit JsonView(std::FILE* out) : out_(out) {}

  void ShowStep(const Step& step) override {
    Print({{"step", step.step()},
           {"adapter", AdapterJson(step.adapter())},
           {"objective_kl", step.objective_kl()},
           {"returns_mean", step.returns_mean()},
           {"advantages_mean", step.advantages_mean()},
           {"score_mean", step.score_mean()},
           {"toxicity_mean", step.toxicity_mean()},
           {"seconds", step.seconds()}});
  }
  void ShowData(const std::string& lines) override { (void)lines; }
  void ShowParameters(int64_t trainable, int64_t all) override { (void)trainable, (void)all; }
  void ShowActivity(const std::string& activity) override { (void)activity; }
  void ShowDone(const Run& run) override {
    Print({{"done", true}, {"adapter", AdapterJson(run.adapter())}, {"path", run.adapter_path()}});
  }

 private:
  void Print(const json::Value& object) {
    std::fprintf(out_, "%s\n", json::Write(object).c_str());
    std::fflush(out_);
  }

  std::FILE* out_;
};

class TableView : public TrainView {
 public:
  TableView(std::FILE* out, int steps, bool live) : out_(out), steps_(steps), live_(live) {}

  void ShowStep(const Step& step) override {
    ClearLine();
    if (rows_ == 0 || (live_ && rows_ % kStepsAScreen == 0)) {
      std::fprintf(out_, "%9s %8s %8s %8s %8s %8s %7s %6s %7s\n", "step", "score", "toxicity", "KL",
                   "returns", "advant.", "tok/s", "s", "ETA");
    }
    ++rows_;
    seconds_ += step.seconds();
    const double left = seconds_ / rows_ * (steps_ - step.step());
    std::fprintf(out_, "%9s %8s %8s %8s %8s %8s %7.0f %6.1f %7s\n",
                 absl::StrCat(step.step(), "/", steps_).c_str(),
                 ShortNumber(step.score_mean()).c_str(), ShortNumber(step.toxicity_mean()).c_str(),
                 ShortNumber(step.objective_kl()).c_str(), ShortNumber(step.returns_mean()).c_str(),
                 ShortNumber(step.advantages_mean()).c_str(), step.tokens_per_second(),
                 step.seconds(), ShortDuration(left).c_str());
    std::fflush(out_);
  }

  void ShowData(const std::string& lines) override {
    ClearLine();
    std::fprintf(out_, "%s", lines.c_str());
    std::fflush(out_);
  }

  void ShowParameters(int64_t trainable, int64_t all) override {
    ClearLine();
    std::fprintf(out_, "%s\n", ParametersText(trainable, all).c_str());
    std::fflush(out_);
  }

  void ShowActivity(const std::string& activity) override {
    if (!live_) return;
    ClearLine();
    if (!activity.empty())
      std::fprintf(
          out_, "%s",
          absl::StrCat("  ", PrintableLine(activity)).substr(0, kTerminalColumns - 1).c_str());
    shown_ = !activity.empty();
    std::fflush(out_);
  }

  void ShowDone(const Run& run) override {
    ClearLine();
    std::fprintf(out_, "done: %d steps; adapter version %lld, sha256 %s\n      %s\n",
                 run.committed_steps(), static_cast<long long>(run.adapter().version()),
                 run.adapter().sha256().c_str(), PrintableLine(run.adapter_path()).c_str());
    std::fflush(out_);
  }

 private:
  void ClearLine() {
    if (live_ && shown_) std::fputs("\r\033[K", out_);
    shown_ = false;
  }

  std::FILE* out_;
  const int steps_;
  const bool live_;
  int rows_ = 0;
  double seconds_ = 0;
  bool shown_ = false;
};

}  // namespace

std::unique_ptr<TrainView> MakeJsonView(std::FILE* out) { return std::make_unique<JsonView>(out); }
std::unique_ptr<TrainView> MakeTableView(std::FILE* out, int steps, bool live) {
  return std::make_unique<TableView>(out, steps, live);
}

}  // namespace mellow::cli
