// mellow evaluate: are the arms' summaries less toxic, and no worse? The same prompts and random
// numbers for each, intervals and tests for the differences, and everything kept as it goes.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/plural.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/eval/analysis.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/evaluate/evaluation_journal.h"
#include "services/cli/evaluate/evaluation_run.h"
#include "services/cli/evaluate/evaluation_session.h"
#include "services/cli/evaluate/evaluation_view.h"
#include "services/cli/evaluate/steps_of.h"
#include "services/cli/files/evaluation_file.h"
#include "services/cli/files/spec_message.h"
#include "services/cli/models/model_loading.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/interrupts.h"
#include "services/cli/terminal/progress_line.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

constexpr int kDemandMissedExitCode = 3;
constexpr size_t kHashDigits = 12;
constexpr double kDefaultRougeLoss = 0.02;  // as `mellow promote`

struct EvaluateOptions {
  std::string file;
  std::string dir = ".mellow";
  std::string out;
  std::vector<std::string> overrides;
  std::string policy_model;
  std::string reward_model;
  ModelOptions local = {.device = "cpu"};
  bool fresh = false;
  bool json = false;
  int pairs = 3;
  std::string sort;
  Demands demands;
  std::string steps_of;
  int every = 1;
};

std::vector<std::string> Overrides(const EvaluateOptions& options) {
  std::vector<std::string> overrides = options.overrides;
  if (!options.policy_model.empty())
    overrides.push_back(absl::StrCat("policy_model=", options.policy_model));
  if (!options.reward_model.empty())
    overrides.push_back(absl::StrCat("reward.model=", options.reward_model));
  return overrides;
}

// Its name has the configuration's hash, so that no evaluation meets the rows of another.
std::string DefaultOut(const EvaluateOptions& options, bool cluster,
                       const eval::EvaluationConfig& config) {
  return absl::StrCat(cluster ? absl::StrCat(CanonicalFolder(options.dir), "/") : "",
                      "evaluations/", FolderName(config.name), "-",
                      config.sha256.substr(0, kHashDigits));
}

absl::StatusOr<std::vector<eval::PromptRow>> ComputeRows(const EvaluationSession& session,
                                                         EvaluationJournal* journal,
                                                         Interrupts* interrupts) {
  std::vector<eval::PromptRow> finished = journal->TakeRows();
  const size_t before = finished.size();
  if (before > 0)
    std::fprintf(stderr, "%zu of %s %s evaluated before\n", before,
                 Plural(static_cast<int64_t>(session.prompts.size()), "prompt").c_str(),
                 before == 1 ? "was" : "were");
  ProgressLine progress(stderr, isatty(STDERR_FILENO) != 0, "prompts", before,
                        session.prompts.size(), SteadyTime::Now());
  return RunEvaluation(
      session.evaluation, session.engines, session.prompts, std::move(finished), journal,
      [&progress](size_t rows) { progress.Advance(rows, SteadyTime::Now()); },
      [interrupts] { return interrupts->interrupted(); });
}

absl::StatusOr<int> Show(const EvaluateOptions& options, const eval::Evaluation& evaluation,
                         const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<DemandResult> demands,
                          CheckDemands(evaluation, options.demands));
  bool holds = true;
  for (const DemandResult& demand : demands) holds = holds && demand.holds;
  if (options.json) {
    json::Value json = eval::EvaluationWithoutRows(evaluation);
    json.Set("holds", holds);
    json.Set("path", path);
    std::printf("%s\n", json::Write(json).c_str());
  } else {
    const PairOrder order = options.sort.empty() ? PairOrder::kFile : PairOrder::kRewardDifference;
    std::printf("%s%s\n", SideBySide(evaluation, static_cast<size_t>(options.pairs), order).c_str(),
                EvaluationText(evaluation).c_str());
    for (const DemandResult& demand : demands)
      std::printf("%s", Wrap(demand.text, kTableWidth, "").c_str());
    std::printf("%s\n", path.c_str());
  }
  return holds ? 0 : kDemandMissedExitCode;
}

// With the steps of a run as arms, in place of all arms but the first.
absl::Status TakeSteps(const EvaluateOptions& options, evaluation::v1::EvaluationSpec* spec) {
  if (options.demands.require_drop.has_value() || !options.sort.empty())
    return absl::InvalidArgumentError(
        "--steps-of: not together with --require-drop or --sort; its gates are those of `promote`");
  if (!NeedsCluster(*spec))
    return absl::InvalidArgumentError("--steps-of: the steps are those of a cluster's run");
  ClusterCalls calls(CanonicalFolder(options.dir), absl::Minutes(2));
  MELLOW_ASSIGN_OR_RETURN(const KeptAdapters kept, calls.AskKept());
  const std::string baseline = spec->arms_size() > 0 ? spec->arms(0) : "base";
  std::string baseline_sha256;
  if (baseline == "champion") {
    MELLOW_ASSIGN_OR_RETURN(const policy::v1::ListAdaptersResponse adapters, calls.ListAdapters());
    baseline_sha256 = adapters.champion().sha256();
  }
  MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> arms,
                          ArmsOfSteps(kept, options.steps_of, options.every, baseline_sha256));
  spec->clear_arms();
  spec->add_arms(baseline);
  for (const std::string& arm : arms) spec->add_arms(arm);
  return absl::OkStatus();
}

absl::StatusOr<int> EvaluateSteps(const EvaluateOptions& options, EvaluationSession* session,
                                  Interrupts* interrupts) {
  eval::Evaluation& evaluation = session->evaluation;
  eval::Evaluation armless = evaluation;
  armless.arms.clear();
  armless.config.name = absl::StrCat(evaluation.config.name, "-steps");
  armless.config.sha256 = eval::ConfigHash(armless);
  const std::string out =
      options.out.empty() ? DefaultOut(options, /*cluster=*/true, armless.config) : options.out;
  ProgressLine progress(stderr, isatty(STDERR_FILENO) != 0, "summaries", 0,
                        session->prompts.size() * evaluation.arms.size(), SteadyTime::Now());
  const absl::Status evaluated = EvaluateArmByArm(
      session, out, options.fresh,
      [&progress](size_t rows) { progress.Advance(rows, SteadyTime::Now()); },
      [interrupts] { return interrupts->interrupted(); });
  if (absl::IsCancelled(evaluated) && interrupts->interrupted()) {
    std::fprintf(stderr,
                 "interrupted; what is finished is in %s/arms, and the same command goes on from "
                 "there\n",
                 out.c_str());
    return kInterruptedExitCode;
  }
  MELLOW_RETURN_IF_ERROR(evaluated);
  const double confidence = evaluation.config.confidence;
  CorrectForChoosing(evaluation.arms.size() - 1, &evaluation.config);
  evaluation.config.sha256 = eval::ConfigHash(evaluation);
  MELLOW_RETURN_IF_ERROR(eval::Analyze(&evaluation));
  const std::string path = absl::StrCat(out, "/evaluation.json");
  MELLOW_RETURN_IF_ERROR(WriteFileAtomic(path, eval::EvaluationToJson(evaluation)));
  MELLOW_ASSIGN_OR_RETURN(const policy::v1::ListAdaptersResponse adapters,
                          session->calls->ListAdapters());
  MELLOW_ASSIGN_OR_RETURN(
      const StepFindings findings,
      JudgeSteps(evaluation, {options.demands.max_rouge_loss.value_or(kDefaultRougeLoss),
                              adapters.champion().sha256()}));
  if (options.json) {
    json::Value json = StepsJson(evaluation, findings, confidence);
    json.Set("path", path);
    std::printf("%s\n", json::Write(json).c_str());
    return findings.best ? 0 : kDemandMissedExitCode;
  }
  std::printf("%s%s\n", StepsText(evaluation, findings, confidence).c_str(), path.c_str());
  if (!findings.best) {
    std::printf("no step passes the gates: nothing to promote\n");
    return kDemandMissedExitCode;
  }
  const std::string& best = findings.steps[*findings.best].arm;
  std::vector<std::string> promote = {"promote", best, "--evaluation", path, "--dir", options.dir};
  if (options.demands.max_rouge_loss)
    promote.insert(promote.end(),
                   {"--max-rouge-loss", absl::StrCat(*options.demands.max_rouge_loss)});
  std::printf("best: %s; to promote it:\n  %s\n", best.c_str(), CommandLine(promote).c_str());
  return 0;
}

absl::StatusOr<int> Evaluate(const EvaluateOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(evaluation::v1::EvaluationSpec spec,
                          LoadEvaluationFile(options.file, Overrides(options)));
  MELLOW_ASSIGN_OR_RETURN(const nn::LoadOptions load, ToLoadOptions(options.local));
  if (!options.sort.empty() && spec.arms_size() < 2)
    return absl::InvalidArgumentError("--sort: one arm alone has no difference of rewards");
  Interrupts interrupts([] {
    std::fprintf(stderr, "\nfinishing the prompts in progress; Ctrl-C again to stop at once\n");
  });
  if (!options.steps_of.empty()) MELLOW_RETURN_IF_ERROR(TakeSteps(options, &spec));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<EvaluationSession> session,
                          OpenEvaluation(spec, CanonicalFolder(options.dir), load));
  if (!options.steps_of.empty()) return EvaluateSteps(options, session.get(), &interrupts);
  eval::Evaluation& evaluation = session->evaluation;
  const std::string out = options.out.empty()
                              ? DefaultOut(options, NeedsCluster(spec), evaluation.config)
                              : options.out;
  absl::StatusOr<std::unique_ptr<EvaluationJournal>> journal =
      EvaluationJournal::Open(out, evaluation.config.sha256, options.fresh);
  if (!journal.ok()) return Annotate(journal.status(), "--out");
  absl::StatusOr<std::vector<eval::PromptRow>> rows =
      ComputeRows(*session, journal->get(), &interrupts);
  if (absl::IsCancelled(rows.status()) && interrupts.interrupted()) {
    std::fprintf(stderr,
                 "interrupted; what is finished is in %s/rows.jsonl, and the same command "
                 "goes on from there\n",
                 out.c_str());
    return kInterruptedExitCode;
  }
  MELLOW_RETURN_IF_ERROR(rows.status());
  evaluation.rows = *std::move(rows);
  MELLOW_RETURN_IF_ERROR(eval::Analyze(&evaluation));
  const std::string path = absl::StrCat(out, "/evaluation.json");
  MELLOW_RETURN_IF_ERROR(WriteFileAtomic(path, eval::EvaluationToJson(evaluation)));
  return Show(options, evaluation, path);
}

}  // namespace

void AddEvaluateCommand(CLI::App* app, Action* chosen) {
  auto o = std::make_shared<EvaluateOptions>();
  CLI::App* sub = app->add_subcommand(
      "evaluate", "Measure adapters on the same prompts: toxicity, ROUGE and more, with intervals");
  sub->add_option("EVAL.json", o->file, "Evaluation file; deploy/runs/README.md explains it")
      ->required();
  sub->add_option("--dir", o->dir, "Folder of the cluster")->capture_default_str();
  sub->add_option("--out", o->out,
                  "Folder of rows.jsonl and evaluation.json [evaluations/NAME-HASH in DIR]");
  sub->add_option("--set", o->overrides, "FIELD=VALUE of the evaluation file; may be repeated");
  sub->add_option("--policy-model", o->policy_model,
                  "Model folder of folder arms; with --reward-model no cluster is used");
  sub->add_option("--reward-model", o->reward_model,
                  "Classifier folder, instead of the cluster's reward service");
  sub->add_option("--device", o->local.device, "Device of what runs in this process")
      ->type_name("auto|cpu|cuda|cuda:N")
      ->capture_default_str();
  sub->add_option("--threads", o->local.threads,
                  "CPU threads of what runs in this process; 0: all cores")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  sub->add_option("--steps-of", o->steps_of,
                  "Find the best step of a run (an id, its beginning, a name, or newest): the "
                  "first arm against the adapter of every kept step; exit code 3 when none passes "
                  "the gates of `promote`")
      ->type_name("newest|RUN");
  sub->add_option("--every", o->every, "Of these steps each N-th, and the newest")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  sub->add_flag("--fresh", o->fresh, "Throw away what --out holds and begin anew");
  sub->add_option("--pairs", o->pairs, "Prompts whose summaries are shown side by side")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--sort", o->sort,
                  "reward_diff: these prompts by the reward of the second arm minus that of the "
                  "first, the largest first [in the order of the file]")
      ->check(CLI::IsMember({"reward_diff"}));
  sub->add_option("--require-drop", o->demands.require_drop,
                  "End with 3 unless toxicity fell by that share at least (0.8: by 80 %), as its "
                  "interval has it")
      ->check(CLI::Range(0.0, 0.9999));
  sub->add_option("--max-rouge-loss", o->demands.max_rouge_loss,
                  "End with 3 unless a larger loss of ROUGE-L is excluded by its interval, as "
                  "`mellow promote` demands it")
      ->check(CLI::NonNegativeNumber);
  sub->add_flag("--json", o->json, "One JSON object (evaluation.json without its rows)");
  sub->footer(
      "Interrupted, the same command goes on where it was.\n"
      "Examples:\n  mellow evaluate deploy/runs/mini-eval.json\n"
      "  mellow evaluate deploy/runs/mini-eval.json --set arms=base,build/demo-adapter --set "
      "samples=4\n"
      "  mellow evaluate deploy/runs/mini-eval.json --require-drop 0.8 --max-rouge-loss 0.02 "
      "--json\n"
      "  mellow evaluate deploy/runs/mini-eval.json --steps-of newest --every 10");
  sub->callback([=] { *chosen = [=] { return Evaluate(*o); }; });
}

}  // namespace mellow::cli
