// What the cluster knows: learning curves, the lineage of adapters, promotions.

#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/plural.h"
#include "common/base/sha256.h"
#include "common/base/utc.h"
#include "common/report/numbers.h"
#include "common/report/sections.h"

namespace mellow::report {
namespace {

constexpr char kLeftOut[] =
    "Left out: the report was made without a running cluster (--dir), which knows this.";
constexpr int kSparklineWidth = 60;

struct Curve {
  const char* title;
  double PpoStep::*value;
};
constexpr Curve kCurves[] = {{"KL to the reference, nats per response", &PpoStep::objective_kl},
                             {"mean return", &PpoStep::returns_mean},
                             {"mean advantage", &PpoStep::advantages_mean},
                             {"mean score (reward logit)", &PpoStep::score_mean},
                             {"mean P(toxic) of the rollouts", &PpoStep::toxicity_mean},
                             {"mean length of a response, tokens", &PpoStep::response_tokens_mean},
                             {"mean share of repeated 4-grams", &PpoStep::repetition_mean}};

// "2.31 to 4.05" and the text of a curve.
Figure CurveFigure(const std::string& title, std::vector<LineSeries> series) {
  std::string text;
  for (const LineSeries& s : series) {
    if (s.y.empty()) continue;
    absl::StrAppend(&text, s.label, s.label.empty() ? "" : "  ", Number(s.y.front()), "  ",
                    Sparkline(s.y, kSparklineWidth), "  ", Number(s.y.back()), "\n");
  }
  const LineChart chart{.title = title, .x_label = "step", .series = std::move(series)};
  return {.title = title, .svg = LineSvg(chart), .text = std::move(text)};
}

// "begun 2026-01-02 03:04:05 UTC, done 2026-01-02 03:14:05 UTC"
template <typename Run>
std::string StateWords(const Run& run) {
  std::string words;
  if (run.begun_unix_seconds.has_value())
    words = absl::StrCat("begun ", UtcText(*run.begun_unix_seconds), " UTC, ");
  absl::StrAppend(&words, run.state);
  if (run.ended_unix_seconds.has_value())
    absl::StrAppend(&words, " ", UtcText(*run.ended_unix_seconds), " UTC");
  return run.error.empty() ? words : absl::StrCat(words, ": ", run.error);
}

void AddPpoRun(const PpoRun& run, Section* section) {
  section->blocks.push_back(
      Paragraph{absl::StrCat("PPO run ", run.run_id, " (", run.name, "), ", StateWords(run), ", ",
                             Count(static_cast<int64_t>(run.steps.size())), " of ",
                             Plural(run.planned_steps, "step"), ".")});
  if (!run.models.empty()) {
    std::vector<std::string> models;
    for (const PinnedModel& model : run.models) {
      models.push_back(
          absl::StrCat(model.role, " ", model.sha256.substr(0, 12), " (", model.precision, ")"));
    }
    section->blocks.push_back(
        Paragraph{absl::StrCat("sha256 of its models: ", absl::StrJoin(models, ", "), ".")});
  }
  if (!run.guard_trips.empty()) {
    Bullets trips;
    for (const GuardTrip& trip : run.guard_trips)
      trips.items.push_back(
          absl::StrCat("Its guard took it back after step ", trip.step, ": ", trip.reason, "."));
    section->blocks.push_back(std::move(trips));
  }
  if (run.steps.empty()) return;
  std::vector<double> x;
  for (const PpoStep& step : run.steps) x.push_back(step.step);
  Figures figures;
  Table table{.header = {"measure", "first step", "last step", "least", "greatest"}};
  for (const Curve& curve : kCurves) {
    std::vector<double> y;
    for (const PpoStep& step : run.steps) y.push_back(step.*curve.value);
    double least = y[0], greatest = y[0];
    for (const double value : y) {
      least = std::min(least, value);
      greatest = std::max(greatest, value);
    }
    table.rows.push_back({TextCell(curve.title), NumberCell(Number(y.front())),
                          NumberCell(Number(y.back())), NumberCell(Number(least)),
                          NumberCell(Number(greatest))});
    figures.figures.push_back(CurveFigure(curve.title, {{.x = x, .y = std::move(y)}}));
  }
  if (run.steps.front().judge_gap.has_value()) {
    LineSeries gap;
    for (const PpoStep& step : run.steps) {
      if (!step.judge_gap.has_value()) continue;
      gap.x.push_back(step.step);
      gap.y.push_back(*step.judge_gap);
    }
    figures.figures.push_back(
        CurveFigure("rise of the score beyond the judge's, standard deviations", {std::move(gap)}));
  }
  section->blocks.push_back(std::move(figures));
  section->blocks.push_back(std::move(table));
  section->blocks.push_back(Verbatim{.title = "Run file", .text = run.spec});
}

void AddSftRun(const SftRun& run, Section* section) {
  const std::string name = absl::StrCat("Supervised run ", run.run_id, " (", run.name, ")");
  std::string about = absl::StrCat(
      name, ", ", StateWords(run), ", ", Plural(run.planned_steps, "step"), "; ",
      Count(run.trainable_parameters), " of ", Count(run.total_parameters), " parameters trained.");
  if (run.best_dev_loss.has_value()) {
    absl::StrAppend(&about, " Lowest dev loss ", Number(*run.best_dev_loss), ", after step ",
                    run.best_step.value_or(0), ".");
  }
  section->blocks.push_back(Paragraph{std::move(about)});
  LineSeries train{.label = "training loss"}, dev{.label = "dev loss"};
  LineSeries rate;
  for (const SftStep& step : run.steps) {
    if (step.loss.has_value()) {
      train.x.push_back(step.step);
      train.y.push_back(*step.loss);
      rate.x.push_back(step.step);
      rate.y.push_back(step.learning_rate);
    }
    if (step.dev_loss.has_value()) {
      dev.x.push_back(step.step);
      dev.y.push_back(*step.dev_loss);
    }
  }
  std::vector<LineSeries> losses = {std::move(train)};
  if (!dev.y.empty()) losses.push_back(std::move(dev));
  section->blocks.push_back(Figures{{CurveFigure("loss, nats per target token", std::move(losses)),
                                     CurveFigure("learning rate", {std::move(rate)})}});
  section->blocks.push_back(Verbatim{.title = "Run file", .text = run.spec});
}

std::string AdapterWords(const AdapterId& adapter) {
  if (adapter.version == 0 && adapter.sha256.empty()) return "the base model";
  return adapter.version == 0
             ? ShortHash(adapter.sha256)
             : absl::StrCat("version ", adapter.version, " (", ShortHash(adapter.sha256), ")");
}

std::string LineageWords(const ArmLineage& lineage) {
  if (lineage.sha256.empty()) return absl::StrCat(lineage.arm, ": the base model.");
  std::string words = absl::StrCat(lineage.arm, ": ", ShortHash(lineage.sha256));
  if (lineage.origins.empty())
    return absl::StrCat(words, ", made by no run that this cluster knows.");
  for (const Origin& o : lineage.origins) {
    absl::StrAppend(&words, ", from step ", o.step, " of the ", o.kind, " run ", o.run_id,
                    " (run file ", ShortHash(o.spec_sha256), ")");
  }
  return absl::StrCat(words, ", which started from ", lineage.origins.back().start, ".");
}

}  // namespace

Section LearningSection(const ReportInput& input) {
  Section section{.id = "learning", .title = "Learning curves"};
  if (!input.cluster.has_value()) {
    section.blocks.push_back(Paragraph{kLeftOut});
    return section;
  }
  for (const SftRun& run : input.cluster->sft) AddSftRun(run, &section);
  for (const PpoRun& run : input.cluster->runs) AddPpoRun(run, &section);
  if (section.blocks.empty())
    section.blocks.push_back(
        Paragraph{"No run of the cluster made an adapter of this evaluation."});
  return section;
}

Section LineageSection(const ReportInput& input, const std::vector<ArmLineage>& lineage) {
  Section section{.id = "lineage", .title = "Lineage of the adapters"};
  if (!input.cluster.has_value()) {
    section.blocks.push_back(Paragraph{kLeftOut});
    return section;
  }
  Bullets arms;
  for (const ArmLineage& arm : lineage) arms.items.push_back(LineageWords(arm));
  section.blocks.push_back(std::move(arms));
  Table table{.header = {"run", "kind", "run file, sha256", "started from", "steps", "adapter",
                         "sha256", "state"}};
  for (const SftRun& run : input.cluster->sft) {
    table.rows.push_back(
        {TextCell(run.run_id), TextCell("SFT"), TextCell(ShortHash(run.spec_sha256)),
         TextCell(run.start_adapter.empty() ? "a fresh adapter" : run.start_adapter),
         NumberCell(Count(run.planned_steps)), TextCell(run.adapter_path),
         TextCell(ShortHash(run.adapter_sha256)), TextCell(run.state)});
  }
  for (const PpoRun& run : input.cluster->runs) {
    std::string start = run.start_adapter.empty() ? "a fresh adapter" : run.start_adapter;
    if (run.start.has_value()) absl::StrAppend(&start, ", ", AdapterWords(*run.start));
    const std::string versions = run.steps.size() < 2
                                     ? absl::StrCat("version ", run.adapter.version)
                                     : absl::StrCat("versions ", run.steps.front().adapter.version,
                                                    " to ", run.steps.back().adapter.version);
    table.rows.push_back(
        {TextCell(run.run_id), TextCell("PPO"), TextCell(ShortHash(run.spec_sha256)),
         TextCell(std::move(start)), NumberCell(Count(static_cast<int64_t>(run.steps.size()))),
         TextCell(versions), TextCell(ShortHash(run.adapter.sha256)), TextCell(run.state)});
  }
  if (!table.rows.empty()) section.blocks.push_back(std::move(table));
  return section;
}

Section PromotionSection(const ReportInput& input) {
  Section section{.id = "promotions", .title = "Promotions"};
  if (!input.cluster.has_value()) {
    section.blocks.push_back(Paragraph{kLeftOut});
    return section;
  }
  if (input.cluster->promotions.empty()) {
    section.blocks.push_back(Paragraph{"No adapter of this evaluation has been promoted."});
    return section;
  }
  Table table{
      .header = {"time (UTC)", "what", "champion", "before", "gates", "evaluation", "reason"}};
  for (const Promotion& p : input.cluster->promotions) {
    std::vector<std::string> gates;
    bool all = true;
    for (const Gate& gate : p.gates) {
      all = all && gate.passed;
      gates.push_back(absl::StrCat(gate.name, gate.passed ? " passed" : " FAILED",
                                   gate.detail.empty() ? "" : " (", gate.detail,
                                   gate.detail.empty() ? "" : ")"));
    }
    table.rows.push_back({TextCell(UtcText(p.unix_seconds)),
                          TextCell(p.forced ? absl::StrCat(p.kind, ", forced") : p.kind,
                                   p.forced ? Tone::kBad : Tone::kPlain),
                          TextCell(AdapterWords(p.adapter)), TextCell(AdapterWords(p.previous)),
                          TextCell(gates.empty() ? "none" : absl::StrJoin(gates, "; "),
                                   all ? Tone::kPlain : Tone::kBad),
                          TextCell(ShortHash(p.evaluation_sha256)),
                          TextCell(p.reason.empty() ? "-" : p.reason)});
  }
  section.blocks.push_back(std::move(table));
  return section;
}

}  // namespace mellow::report
