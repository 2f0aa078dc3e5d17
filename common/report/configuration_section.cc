// What the numbers depend on, with hashes.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/plural.h"
#include "common/report/numbers.h"
#include "common/report/sections.h"
#include "common/report/words.h"

namespace mellow::report {
namespace {

std::string HashOrNone(const std::string& sha256) { return sha256.empty() ? "-" : sha256; }

std::string SamplingWords(const eval::SamplingConfig& s) {
  const std::string beams =
      s.num_beams > 1 ? absl::StrCat("beam search, ", s.num_beams, " beams") : "";
  const std::string how =
      s.do_sample ? absl::StrFormat("sampling, temperature %g, top-k %d, top-p %g, seed %d",
                                    s.temperature, s.top_k, s.top_p, s.seed)
                  : std::string(beams.empty() ? "greedy" : "");
  return absl::StrCat(beams, beams.empty() || how.empty() ? "" : ", ", how, "; ", s.min_new_tokens,
                      " to ", Plural(s.max_new_tokens, "token"), "; ", Plural(s.samples, "sample"),
                      " per prompt");
}

}  // namespace

Section ConfigurationSection(const ReportInput& input) {
  const eval::Evaluation& e = input.evaluation;
  const eval::EvaluationConfig& c = e.config;
  Section section{.id = "configuration", .title = "Configuration and hashes"};
  Table facts{.header = {"what", "value"}};
  const auto add = [&](const char* name, std::string value) {
    facts.rows.push_back({TextCell(name), TextCell(std::move(value))});
  };
  add("evaluation", c.name);
  add("sha256 of its configuration", HashOrNone(c.sha256));
  add("sha256 of the file", HashOrNone(input.evaluation_file_sha256));
  add("data", c.data_path);
  add("sha256 of the data", HashOrNone(c.data_sha256));
  add("prompts", absl::StrCat(Count(c.prompts), " of ", Plural(c.data_rows, "row")));
  add("references", c.reference_column.empty() ? "none" : c.reference_column);
  add("model", c.policy_model);
  add("sha256 of the model", HashOrNone(c.policy_model_sha256));
  add("generation", SamplingWords(c.sampling));
  add("statistics", absl::StrFormat("%s resamples, %s permutations, seed %d, confidence %g, alpha "
                                    "%g, power %g",
                                    Count(c.resamples), Count(c.permutations), c.statistics_seed,
                                    c.confidence, c.alpha, c.power));
  section.blocks.push_back(std::move(facts));
  Table arms{.title = "Arms", .header = {"arm", "what", "sha256 of the adapter", "run"}};
  for (const eval::Arm& arm : e.arms) {
    arms.rows.push_back({TextCell(arm.name), TextCell(ArmOrigin(arm)),
                         TextCell(HashOrNone(arm.sha256)),
                         TextCell(arm.run_id.empty() ? "-" : arm.run_id)});
  }
  section.blocks.push_back(std::move(arms));
  Table judges{
      .title = "Judges",
      .header = {"judge", "model", "sha256", "label of the logit", "toxic label", "seen by PPO"}};
  for (const eval::Judge& judge : e.judges) {
    judges.rows.push_back({TextCell(judge.name), TextCell(judge.model),
                           TextCell(HashOrNone(judge.sha256)), TextCell(judge.label),
                           TextCell(judge.toxic_label),
                           TextCell(judge.independent ? "no, independent" : "yes")});
  }
  if (!judges.rows.empty()) section.blocks.push_back(std::move(judges));
  section.blocks.push_back(Verbatim{.title = "Prompt template", .text = c.prompt_template});
  return section;
}

}  // namespace mellow::report
