#include "services/cli/train/train_view.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "services/cli/cluster/adapter_json.h"
#include "services/cli/terminal/table.h"
#include "services/cli/train/sft_view.h"
#include "services/cli/train/view_base.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::Run;
using orchestrator::v1::Step;

class PpoJsonView : public JsonViewBase {
 public:
  using JsonViewBase::JsonViewBase;

  void ShowStart(const Run& run) override { (void)run; }
  void ShowStep(const Step& step) override {
    json::Value object = {{"step", step.step()},
                          {"adapter", AdapterJson(step.adapter())},
                          {"objective_kl", step.objective_kl()},
                          {"returns_mean", step.returns_mean()},
                          {"advantages_mean", step.advantages_mean()},
                          {"score_mean", step.score_mean()},
                          {"toxicity_mean", step.toxicity_mean()},
                          {"seconds", step.seconds()}};
    if (step.has_judge_gap()) {
      object.Add("judge_score_mean", step.judge_score_mean());
      object.Add("judge_gap", step.judge_gap());
    }
    if (!step.guard_trip().empty()) object.Add("guard_trip", step.guard_trip());
    Print(object);
  }
  void ShowDone(const Run& run) override {
    Print({{"done", true}, {"adapter", AdapterJson(run.adapter())}, {"path", run.adapter_path()}});
  }
};

class PpoTableView : public TableViewBase {
 public:
  PpoTableView(std::FILE* out, int steps, bool live) : TableViewBase(out, live), steps_(steps) {}

  void ShowStart(const Run& run) override {
    Print(ParametersText(run.trainable_parameters(), run.total_parameters()) + "\n");
  }

  void ShowStep(const Step& step) override {
    seconds_ += step.seconds();
    const double left = seconds_ / (rows() + 1) * (steps_ - step.step());
    PrintRow(absl::StrFormat("%9s %8s %8s %8s %8s %8s %7s %6s %7s", "step", "score", "toxicity",
                             "KL", "returns", "advant.", "tok/s", "s", "ETA"),
             absl::StrFormat("%9s %8s %8s %8s %8s %8s %7.0f %6.1f %7s",
                             absl::StrCat(step.step(), "/", steps_), ShortNumber(step.score_mean()),
                             ShortNumber(step.toxicity_mean()), ShortNumber(step.objective_kl()),
                             ShortNumber(step.returns_mean()), ShortNumber(step.advantages_mean()),
                             step.tokens_per_second(), step.seconds(), ShortDuration(left)));
    if (!step.guard_trip().empty())
      Print(Wrap(absl::StrCat("taken back: ", step.guard_trip()), kTableWidth, "  "));
  }

  void ShowDone(const Run& run) override {
    Print(absl::StrFormat("done: %s; adapter version %d\nadapter %s\nsha256  %s\n",
                          Plural(run.committed_steps(), "step"), run.adapter().version(),
                          PrintableLine(run.adapter_path()), run.adapter().sha256()));
  }

 private:
  const int steps_;
  double seconds_ = 0;
};

}  // namespace

std::unique_ptr<TrainView> MakeTrainView(const orchestrator::v1::RunSpec& spec, std::FILE* out,
                                         bool json, bool live) {
  if (spec.has_sft()) return json ? MakeSftJsonView(out) : MakeSftTableView(out, live);
  return json ? MakeJsonView(out) : MakeTableView(out, spec.steps(), live);
}

std::unique_ptr<TrainView> MakeJsonView(std::FILE* out) {
  return std::make_unique<PpoJsonView>(out);
}
std::unique_ptr<TrainView> MakeTableView(std::FILE* out, int steps, bool live) {
  return std::make_unique<PpoTableView>(out, steps, live);
}

}  // namespace mellow::cli
