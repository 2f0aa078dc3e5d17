#include "services/cli/cluster/run_view.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/utc.h"
#include "services/cli/cluster/adapter_json.h"
#include "services/cli/cluster/run_names.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

using orchestrator::v1::Run;

// The width of ids and names together, beside the other columns.
constexpr size_t kNames = 29;
constexpr size_t kShortestName = 4;

// As long as the column may be.
std::string CutName(const std::string& name, size_t most) {
  const std::string printable = PrintableLine(name);
  // Bytes: what is cut is shown anyway as no more than that.
  if (printable.size() <= most) return printable;
  size_t end = most - 2;
  while (end > 0 && (static_cast<unsigned char>(printable[end]) & 0xC0) == 0x80) --end;
  return printable.substr(0, end) + "..";
}

// When it was, and what a supervised run reached.
std::string Circumstances(const Run& run) {
  std::vector<std::string> parts;
  if (run.has_created()) {
    std::string when = UtcText(run.created().seconds());
    if (run.has_ended()) {
      const std::string end = UtcText(run.ended().seconds());
      // The day once.
      absl::StrAppend(&when, " to ",
                      when.substr(0, 10) == end.substr(0, 10) ? end.substr(11) : end);
    }
    const double seconds = static_cast<double>(run.ended().seconds() - run.created().seconds());
    parts.push_back(absl::StrCat(
        when, " UTC", run.has_ended() ? absl::StrCat(" (", ShortDuration(seconds), ")") : ""));
  }
  if (run.sft().has_best_step())
    parts.push_back(absl::StrCat("lowest dev loss ", ShortNumber(run.sft().best_dev_loss()),
                                 " after step ", run.sft().best_step()));
  if (!run.activity().empty()) parts.push_back(run.activity());
  return absl::StrJoin(parts, ", ");
}

template <typename Number>
json::Value OrNull(bool has, Number value) {
  return has ? json::Value(value) : json::Value();
}

}  // namespace

std::string StateName(const Run& run) {
  return std::string(absl::StripPrefix(orchestrator::v1::RunState_Name(run.state()), "RUN_STATE_"));
}

const char* MethodName(const Run& run) { return run.spec().has_sft() ? "sft" : "ppo"; }

std::string RoleName(orchestrator::v1::NodeRole role) {
  const std::string name = orchestrator::v1::NodeRole_Name(role);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "NODE_ROLE_"));
}

std::vector<std::string> TripTexts(const Run& run) {
  std::vector<std::string> texts;
  for (const orchestrator::v1::GuardTrip& trip : run.guard_trips()) {
    // That the last one stopped the run is said as its error.
    if (!absl::StrContains(run.error(), trip.reason()))
      texts.push_back(
          absl::StrCat("went back after step ", trip.step(), ": ", PrintableLine(trip.reason())));
  }
  return texts;
}

std::string BestStepCommand(const Run& run, const std::string& run_name, const std::string& file,
                            const std::string& dir) {
  const std::string every = absl::StrCat(std::max(1, (run.committed_steps() + 4) / 5));
  return CommandLine({"evaluate", file, "--steps-of", run_name, "--every", every, "--dir", dir});
}

std::string BestStepHint(const Run& run, const std::string& run_name, const std::string& file,
                         const std::string& dir) {
  if (run.guard_trips_size() == 0 || run.committed_steps() < 2) return "";
  return absl::StrCat("its best step is found by: ", BestStepCommand(run, run_name, file, dir));
}

json::Value RunJson(const Run& run) {
  json::Value models = json::Value::MakeArray();
  for (const orchestrator::v1::PinnedModel& model : run.models())
    models.Append(
        {{"role", RoleName(model.role())},
         {"model_sha256", model.model_sha256()},
         {"precision", model.precision()},
         {"labels", std::vector<std::string>(model.labels().begin(), model.labels().end())}});
  const bool ppo = run.has_last_step() && !run.spec().has_sft();
  json::Value trips = json::Value::MakeArray();
  for (const orchestrator::v1::GuardTrip& trip : run.guard_trips())
    trips.Append({{"step", trip.step()},
                  {"good_step", trip.good_step()},
                  {"good", AdapterJson(trip.good())},
                  {"check", trip.check()},
                  {"value", trip.value()},
                  {"bound", trip.bound()},
                  {"reason", trip.reason()}});
  return {{"run_id", run.run_id()},
          {"name", run.spec().name()},
          {"method", MethodName(run)},
          {"state", StateName(run)},
          {"step", run.committed_steps()},
          {"steps", run.total_steps()},
          {"score_mean", OrNull(ppo, run.last_step().score_mean())},
          {"toxicity_mean", OrNull(ppo, run.last_step().toxicity_mean())},
          {"objective_kl", OrNull(ppo, run.last_step().objective_kl())},
          {"dev_loss", OrNull(run.sft().has_best_dev_loss(), run.sft().best_dev_loss())},
          {"created", OrNull(run.has_created(), UtcIso(run.created().seconds()))},
          {"ended", OrNull(run.has_ended(), UtcIso(run.ended().seconds()))},
          {"activity", run.activity()},
          {"error", run.error()},
          {"adapter", AdapterJson(run.adapter())},
          {"path", run.adapter_path()},
          {"models", std::move(models)},
          {"not_repeatable", run.not_repeatable()},
          {"guard_trips", std::move(trips)}};
}

std::string RunsText(absl::Span<const Run> runs, const std::string& dir) {
  if (runs.empty()) return "no run yet\n";
  const std::vector<std::string> ids = ShortIds(runs);
  const size_t most = kNames - std::min(kNames - kShortestName, ids.front().size());
  std::vector<std::vector<std::string>> rows = {
      {"RUN", "NAME", "METHOD", "STATE", "STEP", "SCORE", "KL"}};
  std::vector<std::vector<std::string>> notes(1);
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    const bool ppo = run.has_last_step() && !run.spec().has_sft();
    rows.push_back({ids[i], CutName(run.spec().name(), most), MethodName(run), StateName(run),
                    absl::StrCat(run.committed_steps(), "/", run.total_steps()),
                    ppo ? ShortNumber(run.last_step().score_mean()) : "-",
                    ppo ? ShortNumber(run.last_step().objective_kl()) : "-"});
    std::vector<std::string>& about = notes.emplace_back();
    if (const std::string when = Circumstances(run); !when.empty()) about.push_back(when);
    if (!run.error().empty()) about.push_back(absl::StrCat("why: ", run.error()));
    for (const std::string& trip : TripTexts(run)) about.push_back(trip);
    if (std::string hint = BestStepHint(run, ids[i], kEvaluationFile, dir); !hint.empty())
      about.push_back(std::move(hint));
    if (!run.not_repeatable().empty())
      about.push_back(absl::StrCat("not repeatable to the bit: ", run.not_repeatable()));
  }
  return FormatTable(rows, notes);
}

}  // namespace mellow::cli
