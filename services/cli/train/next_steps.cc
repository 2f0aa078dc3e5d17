#include "services/cli/train/next_steps.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/cli/cluster/run_view.h"
#include "services/cli/terminal/command.h"

namespace mellow::cli {

std::string EvaluationFileOf(const std::string& run_file) {
  const std::filesystem::path path(run_file);
  const std::string name = path.stem().string();
  const std::filesystem::path file =
      path.parent_path() / absl::StrCat(absl::StripSuffix(name, "-sft"), "-eval.json");
  std::error_code ignored;
  return std::filesystem::is_regular_file(file, ignored) ? file.string() : kEvaluationFile;
}

std::string NextSteps(const orchestrator::v1::Run& run, const std::string& run_file,
                      const std::string& dir) {
  const bool ppo = !run.spec().has_sft();
  const int trips = run.guard_trips_size();
  // What its guard took back at the end is nothing to go on with.
  const bool back = trips > 0 && run.guard_trips(trips - 1).step() == run.committed_steps();
  const int step = back ? run.guard_trips(trips - 1).good_step() : run.committed_steps();
  const std::string adapter = ppo ? absl::StrCat(run.run_id(), "@", step) : run.adapter_path();
  const std::string file = EvaluationFileOf(run_file);
  const std::string out = absl::StrCat(dir, "/evaluations/", run.run_id());
  std::string text = absl::StrCat(
      file != kEvaluationFile ? "next, is it less toxic, and then what users get:\n  "
                              : "next, with an evaluation file (deploy/runs/README.md): is it "
                                "less toxic, and\nthen what users get:\n  ",
      CommandLine({"evaluate", file, "--set", absl::StrCat("arms=base,", adapter), "--dir", dir,
                   "--out", out}),
      "\n  ",
      CommandLine({"promote", adapter, "--evaluation", absl::StrCat(out, "/evaluation.json"),
                   "--dir", dir}),
      "\n");
  if (ppo && run.committed_steps() > 1) {
    absl::StrAppend(&text, "or was an earlier step better:\n  ",
                    BestStepCommand(run, run.run_id(), file, dir), "\n");
  }
  return text;
}

}  // namespace mellow::cli
