#include "services/cli/evaluate/steps_of.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "common/base/sha256.h"
#include "common/base/status.h"
#include "common/eval/figures.h"
#include "common/eval/promotion_gates.h"
#include "services/cli/evaluate/evaluation_journal.h"
#include "services/cli/evaluate/evaluation_run.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

// Resamples beyond a bound, and permutations beyond alpha: fewer make it the accident of a few
// draws.
constexpr double kDrawsInATail = 10;
constexpr int kWidth = 78;

std::string Signed(double value) {
  return absl::StrCat(value < 0 ? "-" : "+", ShortNumber(std::fabs(value)));
}

// The part after '@'.
std::string StepOf(const std::string& arm) { return arm.substr(arm.rfind('@') + 1); }

// By which the steps are compared: where a judge is given that PPO never saw, it chooses, because
// the least toxic step to the reward may be the one that fools it most.
eval::Scoring ChoosingScoring(const eval::Evaluation& evaluation) {
  const std::vector<eval::Scoring> independent = eval::IndependentScorings(evaluation);
  return independent.empty() ? evaluation.scorings.front() : independent.front();
}

const eval::Difference& Toxicity(const eval::Comparison& comparison, const eval::Scoring& scoring) {
  return *eval::FindDifference(comparison, "toxicity", scoring);
}

std::string FirstFailure(const StepFinding& step) {
  for (const eval::GateResult& gate : step.gates) {
    if (!gate.passed) return gate.name;
  }
  return "hold";
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ArmsOfSteps(const KeptAdapters& kept,
                                                     const std::string& run_name, int every,
                                                     const std::string& baseline_sha256) {
  MELLOW_ASSIGN_OR_RETURN(const orchestrator::v1::Run run,
                          FindRun(kept.runs, run_name, [](const orchestrator::v1::Run& each) {
                            return HasSteps(each) && !each.spec().has_sft();
                          }));
  if (run.spec().has_sft())
    return absl::InvalidArgumentError(absl::StrCat(
        "--steps-of ", run_name, ": ", run.run_id(),
        " is a supervised run, which keeps its result alone: name its folder as an arm"));
  std::map<int, std::string> steps;  // their hashes
  for (const orchestrator::v1::KeptAdapter& adapter : kept.adapters) {
    if (adapter.run_id() == run.run_id() && adapter.step() > 0 && adapter.has_files())
      steps[adapter.step()] = adapter.adapter().sha256();
  }
  if (steps.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("--steps-of ", run_name, ": no step of ", run.run_id(), " is kept"));
  std::set<std::string> seen = {baseline_sha256};
  std::vector<std::string> arms;
  for (const auto& [step, sha256] : steps) {
    if ((step % every == 0 || step == steps.rbegin()->first) && seen.insert(sha256).second)
      arms.push_back(absl::StrCat(run.run_id(), "@", step));
  }
  if (arms.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("--steps-of ", run_name, ": every step has the weights of the baseline"));
  return arms;
}

void CorrectForChoosing(size_t arms, eval::EvaluationConfig* config) {
  const auto count = static_cast<double>(std::max<size_t>(1, arms));
  config->confidence = 1 - (1 - config->confidence) / count;
  config->alpha /= count;
  const double tail = (1 - config->confidence) / 2;
  config->resamples =
      std::max(config->resamples, static_cast<int32_t>(std::ceil(kDrawsInATail / tail)));
  config->permutations = std::max(config->permutations,
                                  static_cast<int32_t>(std::ceil(kDrawsInATail / config->alpha)));
}

absl::Status EvaluateArmByArm(EvaluationSession* session, const std::string& out, bool fresh,
                              const std::function<void(size_t)>& on_rows,
                              const std::function<bool()>& stop) {
  eval::Evaluation& all = session->evaluation;
  std::vector<std::unique_ptr<ArmEngine>> engines = std::move(session->engines.arms);
  for (size_t a = 0; a < all.arms.size(); ++a) {
    eval::Evaluation one = all;
    one.rows.clear();
    one.arms = {all.arms[a]};
    one.config.sha256 = eval::ConfigHash(one);
    session->engines.arms.clear();
    session->engines.arms.push_back(std::move(engines[a]));
    const std::string folder = absl::StrCat(
        out, "/arms/", one.arms[0].sha256.empty() ? "base" : ShortHash(one.arms[0].sha256));
    MELLOW_ASSIGN_OR_RETURN(const auto journal,
                            EvaluationJournal::Open(folder, one.config.sha256, fresh));
    std::vector<eval::PromptRow> finished = journal->TakeRows();
    on_rows(finished.size());
    MELLOW_ASSIGN_OR_RETURN(std::vector<eval::PromptRow> rows,
                            RunEvaluation(one, session->engines, session->prompts,
                                          std::move(finished), journal.get(), on_rows, stop));
    if (a == 0) {
      all.rows = std::move(rows);
      continue;
    }
    for (size_t i = 0; i < rows.size(); ++i) all.rows[i].arms.push_back(std::move(rows[i].arms[0]));
  }
  return absl::OkStatus();
}

absl::StatusOr<StepFindings> JudgeSteps(const eval::Evaluation& evaluation,
                                        const eval::GateOptions& options) {
  StepFindings findings;
  findings.scoring = ChoosingScoring(evaluation);
  const auto toxicity = [&](size_t i) {
    return Toxicity(evaluation.comparisons[i], findings.scoring).arm;
  };
  for (const eval::Comparison& comparison : evaluation.comparisons) {
    StepFinding& step = findings.steps.emplace_back();
    step.arm = comparison.arm;
    MELLOW_ASSIGN_OR_RETURN(step.gates, eval::PromotionGates(evaluation, comparison.arm, options));
    step.holds = std::all_of(step.gates.begin(), step.gates.end(),
                             [](const eval::GateResult& gate) { return gate.passed; });
    if (!step.holds) continue;
    const size_t at = findings.steps.size() - 1;
    if (!findings.best || toxicity(at) < toxicity(*findings.best)) findings.best = at;
  }
  return findings;
}

std::string StepsText(const eval::Evaluation& e, const StepFindings& findings, double confidence) {
  std::vector<std::vector<std::string>> rows = {
      {"step", "toxicity", "difference", "interval", "rougeL", "KL", "gates"}};
  for (size_t i = 0; i < findings.steps.size(); ++i) {
    const eval::Comparison& c = e.comparisons[i];
    const auto difference = [&c](const char* measure) {
      const eval::Difference* d = eval::FindDifference(c, measure);
      return d == nullptr ? std::string("-") : Signed(d->difference.mean);
    };
    const eval::Difference& toxicity = Toxicity(c, findings.scoring);
    rows.push_back(
        {StepOf(c.arm), ShortNumber(toxicity.arm), Signed(toxicity.difference.mean),
         absl::StrCat("[", Signed(toxicity.difference.lower), ", ",
                      Signed(toxicity.difference.upper), "]"),
         difference("rougeL"), difference("kl_per_sequence"),
         absl::StrCat(FirstFailure(findings.steps[i]), findings.best == i ? "  best" : "")});
  }
  const double baseline =
      e.comparisons.empty() ? 0 : Toxicity(e.comparisons[0], findings.scoring).baseline;
  const std::string judge = findings.scoring.judge == e.scorings.front().judge
                                ? ""
                                : absl::StrCat(" as the judge ", findings.scoring.judge,
                                               " sees it, which PPO never saw:");
  const std::string about = absl::StrCat(
      Plural(e.config.prompts, "prompt"), ", ",
      Plural(static_cast<int64_t>(findings.steps.size()), "step"), " against ", e.arms[0].name,
      " (toxicity", judge, " ", ShortNumber(baseline),
      "), all with the same random numbers. Each interval is one of ",
      absl::StrFormat("%.4g %%", 100 * e.config.confidence), ", so that all hold at once with ",
      eval::Percent(confidence),
      " whichever step is chosen (Bonferroni). rougeL and KL: differences; gates: the first "
      "of `promote`'s that fails.");
  return absl::StrCat(Wrap(about, kWidth, ""), "\n", FormatTable(rows));
}

json::Value StepsJson(const eval::Evaluation& e, const StepFindings& findings, double confidence) {
  json::Value steps = json::Value::MakeArray();
  for (size_t i = 0; i < findings.steps.size(); ++i) {
    const eval::Difference& toxicity = Toxicity(e.comparisons[i], findings.scoring);
    json::Value gates = json::Value::MakeArray();
    for (const eval::GateResult& gate : findings.steps[i].gates)
      gates.Append({{"name", gate.name}, {"passed", gate.passed}, {"detail", gate.detail}});
    int step = 0;
    static_cast<void>(absl::SimpleAtoi(StepOf(findings.steps[i].arm), &step));
    steps.Append({{"adapter", findings.steps[i].arm},
                  {"step", step},
                  {"toxicity", toxicity.arm},
                  {"difference", toxicity.difference.mean},
                  {"lower", toxicity.difference.lower},
                  {"upper", toxicity.difference.upper},
                  {"gates", std::move(gates)},
                  {"holds", findings.steps[i].holds}});
  }
  return {{"steps", std::move(steps)},
          {"judge", findings.scoring.judge},
          {"best", findings.best ? json::Value(findings.steps[*findings.best].arm) : json::Value()},
          {"correction", "bonferroni"},
          {"confidence", confidence},
          {"confidence_each", e.config.confidence}};
}

}  // namespace mellow::cli
