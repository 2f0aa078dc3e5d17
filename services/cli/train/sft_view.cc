#include "services/cli/train/sft_view.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/json/value.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

using learner::v1::SftRun;
using learner::v1::SftStep;

constexpr int kRowsAScreen = 20;
constexpr int kRowsWithoutDevLoss = 40;
constexpr size_t kTerminalColumns = 80;

double TrainablePercent(const SftRun& run) {
  return PercentOf(run.trainable_parameters(), run.total_parameters());
}

double TokensPerSecond(const SftStep& step) {
  return static_cast<double>(step.tokens()) / std::max(step.seconds(), 1e-9);
}

class JsonView : public SftView {
 public:
  explicit JsonView(std::FILE* out) : out_(out) {}

  void ShowStart(const SftRun& run) override {
    Print({{"run_id", run.run_id()},
           {"total_steps", run.total_steps()},
           {"warmup_steps", run.warmup_steps()},
           {"trainable_parameters", run.trainable_parameters()},
           {"all_parameters", run.total_parameters()},
           {"trainable_percent", TrainablePercent(run)},
           {"train_pairs", run.train_pairs()},
           {"dev_pairs", run.dev_pairs()},
           {"truncated_sources", run.truncated_sources()},
           {"truncated_targets", run.truncated_targets()}});
  }
  void ShowStep(const SftStep& step) override {
    json::Value object = {{"step", step.step()}, {"epoch", step.epoch()}};
    if (step.has_loss()) {
      object.Add("loss", step.loss());
      object.Add("learning_rate", step.learning_rate());
      object.Add("gradient_norm", step.gradient_norm());
      object.Add("tokens_per_second", TokensPerSecond(step));
      object.Add("seconds", step.seconds());
    }
    if (step.has_dev_loss()) object.Add("dev_loss", step.dev_loss());
    Print(object);
  }
  void ShowActivity(const std::string& activity) override { (void)activity; }
  void ShowDone(const SftRun& run) override {
    json::Value object = {
        {"done", true}, {"path", run.adapter_path()}, {"sha256", run.adapter_sha256()}};
    if (run.has_best_step()) {
      object.Add("best_step", run.best_step());
      object.Add("best_dev_loss", run.best_dev_loss());
    }
    Print(object);
  }

 private:
  void Print(const json::Value& object) {
    std::fprintf(out_, "%s\n", json::Write(object).c_str());
    std::fflush(out_);
  }

  std::FILE* out_;
};

class TableView : public SftView {
 public:
  TableView(std::FILE* out, bool live) : out_(out), live_(live) {}

  void ShowStart(const SftRun& run) override {
    ClearLine();
    total_ = run.total_steps();
    row_every_ = std::max(1, total_ / kRowsWithoutDevLoss);
    std::fprintf(out_, "%s\n",
                 ParametersText(run.trainable_parameters(), run.total_parameters()).c_str());
    std::fprintf(out_, "%s pairs to train on, %s for the dev loss; %d steps, %d of them warm-up\n",
                 Grouped(run.train_pairs()).c_str(), Grouped(run.dev_pairs()).c_str(), total_,
                 run.warmup_steps());
    if (run.truncated_sources() > 0 || run.truncated_targets() > 0) {
      std::fprintf(out_, "truncated: %s prompts, %s summaries\n",
                   Grouped(run.truncated_sources()).c_str(),
                   Grouped(run.truncated_targets()).c_str());
    }
    std::fprintf(out_, "run %s\n", run.run_id().c_str());
    std::fflush(out_);
  }

  void ShowStep(const SftStep& step) override {
    ClearLine();
    if (step.has_loss()) {
      ++seen_;
      seconds_ += step.seconds();
    }
    if (step.step() == 0 && step.has_dev_loss()) first_dev_loss_ = step.dev_loss();
    const bool row = step.has_dev_loss() || step.step() == 1 || step.step() == total_ ||
                     step.step() % row_every_ == 0;
    if (row) {
      if (rows_ == 0 || (live_ && rows_ % kRowsAScreen == 0)) {
        std::fprintf(out_, "%13s %6s %8s %8s %8s %9s %7s %7s\n", "step", "epoch", "loss",
                     "dev loss", "lr", "grad norm", "tok/s", "ETA");
      }
      ++rows_;
      std::fprintf(out_, "%s\n", Row(step).c_str());
    } else if (live_) {
      std::fprintf(out_, "%s", Row(step).c_str());
      shown_ = true;
    }
    std::fflush(out_);
  }

  void ShowActivity(const std::string& activity) override {
    // The line of the newest step says more than that the next one is in progress.
    if (!live_ || (shown_ && absl::StrContains(activity, "training"))) return;
    ClearLine();
    if (!activity.empty())
      std::fprintf(
          out_, "%s",
          absl::StrCat("  ", PrintableLine(activity)).substr(0, kTerminalColumns - 1).c_str());
    shown_ = !activity.empty();
    std::fflush(out_);
  }

  void ShowDone(const SftRun& run) override {
    ClearLine();
    std::fprintf(out_, "done: %d steps", run.total_steps());
    if (run.has_best_step()) {
      std::fprintf(out_, "; lowest dev loss %s, after step %d",
                   ShortNumber(run.best_dev_loss()).c_str(), run.best_step());
      if (first_dev_loss_)
        std::fprintf(out_, " (%s before training)", ShortNumber(*first_dev_loss_).c_str());
    }
    std::fprintf(out_,
                 "\nadapter %s\nsha256  %s\nPPO from it: mellow train RUN.json --set "
                 "start_adapter=%s --set ppo.lora=\n",
                 PrintableLine(run.adapter_path()).c_str(), run.adapter_sha256().c_str(),
                 PrintableLine(run.adapter_path()).c_str());
    std::fflush(out_);
  }

 private:
  std::string Row(const SftStep& step) const {
    const std::string place = absl::StrCat(step.step(), "/", total_);
    const std::string dev = step.has_dev_loss() ? ShortNumber(step.dev_loss()) : "";
    if (!step.has_loss()) return absl::StrFormat("%13s %6s %8s %8s", place, "", "", dev);
    const double left = seconds_ / std::max(1, seen_) * (total_ - step.step());
    return absl::StrFormat("%13s %6.2f %8s %8s %8.2e %9s %7.0f %7s", place, step.epoch(),
                           ShortNumber(step.loss()), dev, step.learning_rate(),
                           ShortNumber(step.gradient_norm()), TokensPerSecond(step),
                           ShortDuration(left));
  }

  void ClearLine() {
    if (live_ && shown_) std::fputs("\r\033[K", out_);
    shown_ = false;
  }

  std::FILE* out_;
  const bool live_;
  int total_ = 0;
  int row_every_ = 1;
  int rows_ = 0;
  int seen_ = 0;
  double seconds_ = 0;  // of the steps seen
  std::optional<double> first_dev_loss_;
  bool shown_ = false;
};

}  // namespace

std::unique_ptr<SftView> MakeSftJsonView(std::FILE* out) { return std::make_unique<JsonView>(out); }
std::unique_ptr<SftView> MakeSftTableView(std::FILE* out, bool live) {
  return std::make_unique<TableView>(out, live);
}

}  // namespace mellow::cli
