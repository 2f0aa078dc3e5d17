#include "services/cli/train/sft_view.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/table.h"
#include "services/cli/train/view_base.h"

namespace mellow::cli {
namespace {

using learner::v1::SftRun;
using learner::v1::SftStep;
using orchestrator::v1::Run;
using orchestrator::v1::Step;

constexpr int kRowsWithoutDevLoss = 40;

double TokensPerSecond(const SftStep& step) {
  return static_cast<double>(step.tokens()) / std::max(step.seconds(), 1e-9);
}

class SftJsonView : public JsonViewBase {
 public:
  using JsonViewBase::JsonViewBase;

  void ShowStart(const Run& run) override {
    const SftRun& sft = run.sft();
    Print({{"run_id", run.run_id()},
           {"total_steps", sft.total_steps()},
           {"warmup_steps", sft.warmup_steps()},
           {"trainable_parameters", sft.trainable_parameters()},
           {"all_parameters", sft.total_parameters()},
           {"trainable_percent", PercentOf(sft.trainable_parameters(), sft.total_parameters())},
           {"train_pairs", sft.train_pairs()},
           {"dev_pairs", sft.dev_pairs()},
           {"truncated_sources", sft.truncated_sources()},
           {"truncated_targets", sft.truncated_targets()}});
  }
  void ShowStep(const Step& any) override {
    const SftStep& step = any.sft();
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
  void ShowDone(const Run& run) override {
    const SftRun& sft = run.sft();
    json::Value object = {
        {"done", true}, {"path", run.adapter_path()}, {"sha256", sft.adapter_sha256()}};
    if (sft.has_best_step()) {
      object.Add("best_step", sft.best_step());
      object.Add("best_dev_loss", sft.best_dev_loss());
    }
    Print(object);
  }
};

class SftTableView : public TableViewBase {
 public:
  using TableViewBase::TableViewBase;

  void ShowStart(const Run& run) override {
    const SftRun& sft = run.sft();
    total_ = sft.total_steps();
    row_every_ = std::max(1, total_ / kRowsWithoutDevLoss);
    Print(absl::StrFormat("%s\n%s to train on, %s for the dev loss; %s, %d of them warm-up\n",
                          ParametersText(sft.trainable_parameters(), sft.total_parameters()),
                          Plural(sft.train_pairs(), "pair"), Grouped(sft.dev_pairs()),
                          Plural(total_, "step"), sft.warmup_steps()));
    if (sft.truncated_sources() > 0 || sft.truncated_targets() > 0) {
      Print(absl::StrCat("truncated: ", Plural(sft.truncated_sources(), "prompt"), ", ",
                         Plural(sft.truncated_targets(), "summary", "summaries"), "\n"));
    }
    Print(absl::StrCat("run ", run.run_id(), "\n"));
  }

  void ShowStep(const Step& any) override {
    const SftStep& step = any.sft();
    if (step.has_loss()) {
      ++seen_;
      seconds_ += step.seconds();
    }
    if (step.step() == 0 && step.has_dev_loss()) first_dev_loss_ = step.dev_loss();
    const bool row = step.has_dev_loss() || step.step() == 1 || step.step() == total_ ||
                     step.step() % row_every_ == 0;
    if (row) {
      PrintRow(absl::StrFormat("%13s %6s %8s %8s %8s %9s %7s %7s", "step", "epoch", "loss",
                               "dev loss", "lr", "grad norm", "tok/s", "ETA"),
               Row(step));
    } else {
      ShowLine(Row(step));
    }
  }

  void ShowActivity(const std::string& activity) override {
    // The line of the newest step says more than that the next one is in progress.
    if (line_shown() && absl::StrContains(activity, "training")) return;
    TableViewBase::ShowActivity(activity);
  }

  void ShowDone(const Run& run) override {
    const SftRun& sft = run.sft();
    std::string best;
    if (sft.has_best_step()) {
      best = absl::StrFormat("; lowest dev loss %s, after step %d",
                             ShortNumber(sft.best_dev_loss()), sft.best_step());
      if (first_dev_loss_)
        absl::StrAppend(&best, " (", ShortNumber(*first_dev_loss_), " before training)");
    }
    const std::string folder = PrintableLine(run.adapter_path());
    Print(absl::StrFormat(
        "done: %s%s\nadapter %s\nsha256  %s\nPPO from it:\n  %s\n",
        Plural(sft.total_steps(), "step"), best, folder, sft.adapter_sha256(),
        CommandLine({"train", "RUN.json", "--set", absl::StrCat("start_adapter=", folder), "--set",
                     "ppo.lora="})));
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

  int total_ = 0;
  int row_every_ = 1;
  int seen_ = 0;
  double seconds_ = 0;  // of the steps seen
  std::optional<double> first_dev_loss_;
};

}  // namespace

std::unique_ptr<TrainView> MakeSftJsonView(std::FILE* out) {
  return std::make_unique<SftJsonView>(out);
}
std::unique_ptr<TrainView> MakeSftTableView(std::FILE* out, bool live) {
  return std::make_unique<SftTableView>(out, live);
}

}  // namespace mellow::cli
