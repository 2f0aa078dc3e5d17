// mellow promote and mellow rollback: who is the champion, what users get when they ask for no
// version.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/adapters/peft.h"
#include "common/base/file.h"
#include "common/base/nearest_name.h"
#include "common/base/status.h"
#include "common/base/utc.h"
#include "common/eval/analysis.h"
#include "common/eval/evaluation.h"
#include "common/eval/promotion_gates.h"
#include "common/nn/weights/hub_cache.h"
#include "services/cli/cluster/adapter_json.h"
#include "services/cli/cluster/cluster_file.h"
#include "services/cli/cluster/cluster_options.h"
#include "services/cli/cluster/orchestrator_client.h"
#include "services/cli/cluster/request_id.h"
#include "services/cli/cluster/run_names.h"
#include "services/cli/files/step_name.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/json_lines.h"
#include "services/cli/terminal/printable.h"
#include "services/cli/terminal/table.h"

namespace mellow::cli {
namespace {

namespace v1 = orchestrator::v1;

struct PromoteOptions {
  std::string adapter;
  std::string evaluation;
  std::string dir = ".mellow";
  std::string reason;
  double max_rouge_loss = 0.02;
  bool force = false;
  bool json = false;
};

// What is to be promoted. Bytes, when the cluster does not know it by a version.
struct Subject {
  common::v1::AdapterRef ref;
  std::optional<adapters::PeftFiles> files;
  bool base = false;  // the base model
};

// The newest adapter of a step that no guard withdrew: what a run that never got to a step started
// from hides none.
absl::StatusOr<common::v1::AdapterRef> NewestAdapter(const KeptAdapters& kept) {
  common::v1::AdapterRef newest;
  for (const v1::KeptAdapter& each : kept.adapters) {
    if (each.step() > 0 && !each.withdrawn() && each.adapter().version() > newest.version())
      newest = each.adapter();
  }
  if (newest.version() == 0)
    return absl::NotFoundError("newest: no run of this cluster has an adapter yet");
  return newest;
}

// `adapter`: base, newest, a version of the cluster, RUN@STEP, or a PEFT folder (also one in the
// Hub's cache).
absl::StatusOr<Subject> ReadSubject(const std::string& adapter, const KeptAdapters& kept) {
  Subject subject;
  if (adapter == "base") {
    subject.base = true;
    return subject;
  }
  if (adapter == "newest") {
    MELLOW_ASSIGN_OR_RETURN(subject.ref, NewestAdapter(kept));
    return subject;
  }
  if (const std::optional<StepName> step = ParseStepName(adapter)) {
    MELLOW_ASSIGN_OR_RETURN(const v1::KeptAdapter found, FindKept(kept, *step));
    subject.ref = found.adapter();
    return subject;
  }
  int64_t version = 0;
  if (absl::SimpleAtoi(adapter, &version)) {
    if (version < 1)
      return absl::InvalidArgumentError(
          absl::StrCat("ADAPTER ", adapter, ": versions begin at 1; the base model is `base`"));
    subject.ref.set_version(version);
    return subject;
  }
  MELLOW_ASSIGN_OR_RETURN(const std::string folder, nn::FindFolder(adapter));
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored)) {
    return absl::NotFoundError(absl::StrCat(
        "ADAPTER ", adapter, ": no such folder, and not newest, base, a version or RUN@STEP",
        DidYouMean(adapter, {"newest", "base"})));
  }
  MELLOW_ASSIGN_OR_RETURN(const nn::LoraWeights lora, adapters::ReadPeftFolder(folder));
  subject.ref.set_sha256(adapters::ContentHash(lora));
  subject.files = adapters::SerializePeft(lora);
  return subject;
}

// What the cluster calls a version: of the steps of its runs, and those that were champions. Empty:
// it does not keep that version.
std::string HashOfVersion(const KeptAdapters& kept, const v1::ListPromotionsResponse& history,
                          int64_t version) {
  for (const v1::PromotionEvent& event : history.events()) {
    if (event.has_champion() && event.champion().version() == version)
      return event.champion().sha256();
  }
  for (const v1::KeptAdapter& each : kept.adapters) {
    if (each.adapter().version() == version) return each.adapter().sha256();
  }
  return std::string();
}

// The arm of the evaluation that has these weights, however it was named there: a version is the
// same as a copy of its folder, and another version is not, whatever its number.
absl::StatusOr<std::string> FindArm(const eval::Evaluation& evaluation, const Subject& subject) {
  for (const eval::Arm& arm : evaluation.arms) {
    if (!arm.sha256.empty() && arm.sha256 == subject.ref.sha256()) return arm.name;
  }
  return absl::NotFoundError(absl::StrCat(
      "no arm is ",
      subject.files ? "" : absl::StrCat("version ", subject.ref.version(), ", which is "),
      "an adapter with sha256 ", subject.ref.sha256()));
}

// The evaluation, with comparisons that follow from its rows.
absl::StatusOr<eval::Evaluation> ReadEvaluation(const std::string& path) {
  MELLOW_ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  absl::StatusOr<eval::Evaluation> evaluation = eval::EvaluationFromJson(json);
  if (!evaluation.ok()) return Annotate(evaluation.status(), path);
  if (eval::ConfigHash(*evaluation) != evaluation->config.sha256)
    return absl::DataLossError(
        absl::StrCat(path, ": its configuration does not have the sha256 that it says"));
  eval::Evaluation again = *evaluation;
  MELLOW_RETURN_IF_ERROR(Annotate(eval::Analyze(&again), path));
  eval::Evaluation told = *evaluation;
  evaluation->comparisons = std::move(again.comparisons);
  if (eval::EvaluationToJson(told) != eval::EvaluationToJson(*evaluation))
    return absl::DataLossError(absl::StrCat(path, ": its comparisons do not follow from its rows"));
  return evaluation;
}

absl::StatusOr<v1::PromotionEvidence> Judge(const PromoteOptions& options,
                                            const std::string& champion_sha256,
                                            const Subject& subject) {
  v1::PromotionEvidence evidence;
  evidence.set_reason(options.reason);
  // It is what users had before anything was promoted, and nothing can be less toxic than itself.
  if (subject.base) return evidence;
  const auto add = [&](const eval::GateResult& gate) {
    v1::PromotionEvidence::Gate* added = evidence.add_gates();
    added->set_name(gate.name);
    added->set_passed(gate.passed);
    added->set_detail(gate.detail);
  };
  if (options.evaluation.empty()) {
    add({"evaluation", false, "none was given (--evaluation)"});
    return evidence;
  }
  MELLOW_ASSIGN_OR_RETURN(const eval::Evaluation evaluation, ReadEvaluation(options.evaluation));
  evidence.set_evaluation_name(evaluation.config.name);
  evidence.set_evaluation_sha256(evaluation.config.sha256);
  const absl::StatusOr<std::string> arm = FindArm(evaluation, subject);
  if (!arm.ok()) {
    add({"evaluation", false, std::string(arm.status().message())});
    return evidence;
  }
  const absl::StatusOr<std::vector<eval::GateResult>> gates =
      eval::PromotionGates(evaluation, *arm, {options.max_rouge_loss, champion_sha256});
  if (absl::IsNotFound(gates.status())) {
    add({"evaluation", false, std::string(gates.status().message())});
    return evidence;
  }
  MELLOW_RETURN_IF_ERROR(gates.status());
  for (const eval::GateResult& gate : *gates) add(gate);
  return evidence;
}

json::Value GatesJson(const v1::PromotionEvidence& evidence) {
  json::Value gates = json::Value::MakeArray();
  for (const auto& gate : evidence.gates())
    gates.Append({{"name", gate.name()}, {"passed", gate.passed()}, {"detail", gate.detail()}});
  return gates;
}

json::Value OptionalAdapter(bool has, const common::v1::AdapterRef& adapter) {
  return has && adapter.version() > 0 ? AdapterJson(adapter) : json::Value();
}

void PrintChange(const v1::PromotionEvent& event, bool json) {
  if (json) {
    std::printf("%s\n",
                json::Write({{"champion", OptionalAdapter(event.has_champion(), event.champion())},
                             {"previous", OptionalAdapter(event.has_previous(), event.previous())},
                             {"forced", event.evidence().forced()},
                             {"gates", GatesJson(event.evidence())}})
                    .c_str());
    return;
  }
  const auto name = [](bool has, const common::v1::AdapterRef& adapter) {
    return has && adapter.version() > 0 ? absl::StrCat("version ", adapter.version(), " (",
                                                       adapter.sha256().substr(0, 12), ")")
                                        : std::string("base");
  };
  std::printf("champion: %s, before: %s\n", name(event.has_champion(), event.champion()).c_str(),
              name(event.has_previous(), event.previous()).c_str());
}

absl::StatusOr<int> Promote(const PromoteOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<OrchestratorClient> orchestrator,
                          ConnectOrchestrator(CanonicalFolder(options.dir)));
  MELLOW_ASSIGN_OR_RETURN(const KeptAdapters kept, ListKept(orchestrator.get()));
  MELLOW_ASSIGN_OR_RETURN(Subject subject, ReadSubject(options.adapter, kept));
  MELLOW_ASSIGN_OR_RETURN(const v1::ListPromotionsResponse history, orchestrator->ListPromotions());
  if (!subject.files && !subject.base) {
    // With its hash the cluster refuses a version that becomes something else meanwhile.
    subject.ref.set_sha256(HashOfVersion(kept, history, subject.ref.version()));
    if (subject.ref.sha256().empty()) return NoSuchVersion(subject.ref.version(), {}, kept);
  }
  MELLOW_ASSIGN_OR_RETURN(v1::PromotionEvidence evidence,
                          Judge(options, history.champion().sha256(), subject));
  if (!options.json) {
    for (const auto& gate : evidence.gates())
      std::printf("gate %-10s  %s\n%s", gate.name().c_str(), gate.passed() ? "passed" : "FAILED",
                  Wrap(gate.detail(), kTableWidth, "  ").c_str());
  }
  const bool all = std::all_of(evidence.gates().begin(), evidence.gates().end(),
                               [](const auto& gate) { return gate.passed(); });
  if (!all && !options.force) {
    if (options.json)
      std::printf("%s\n",
                  json::Write({{"champion", nullptr}, {"gates", GatesJson(evidence)}}).c_str());
    std::fprintf(stderr, "mellow: not promoted: a gate failed (--force promotes all the same)\n");
    return kGateFailedExitCode;
  }
  evidence.set_forced(!all);
  v1::PromoteAdapterRequest::Order order;
  order.set_request_id(NewRequestId());
  order.set_base(subject.base);
  if (!subject.base) *order.mutable_adapter() = subject.ref;
  *order.mutable_evidence() = evidence;
  MELLOW_ASSIGN_OR_RETURN(
      const v1::PromotionEvent event,
      orchestrator->PromoteAdapter(order, subject.files ? &*subject.files : nullptr));
  PrintChange(event, options.json);
  return 0;
}

absl::StatusOr<int> RollBack(const PromoteOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<OrchestratorClient> orchestrator,
                          ConnectOrchestrator(CanonicalFolder(options.dir)));
  MELLOW_ASSIGN_OR_RETURN(const v1::PromotionEvent event,
                          orchestrator->RollBackChampion(NewRequestId(), options.reason));
  PrintChange(event, options.json);
  return 0;
}

std::string ActionOf(const v1::PromotionEvent& event) {
  if (event.action() == v1::PROMOTION_ACTION_ROLL_BACK) return "rollback";
  return event.evidence().forced() ? "forced" : "promote";
}

absl::StatusOr<int> Promotions(const PromoteOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<OrchestratorClient> orchestrator,
                          ConnectOrchestrator(CanonicalFolder(options.dir)));
  MELLOW_ASSIGN_OR_RETURN(const v1::ListPromotionsResponse history, orchestrator->ListPromotions());
  if (options.json) {
    json::Value events = json::Value::MakeArray();
    for (const v1::PromotionEvent& event : history.events())
      events.Append({{"time", UtcIso(event.time().seconds())},
                     {"action", ActionOf(event)},
                     {"champion", OptionalAdapter(event.has_champion(), event.champion())},
                     {"previous", OptionalAdapter(event.has_previous(), event.previous())},
                     {"run_id", event.run_id()},
                     {"evaluation", event.evidence().evaluation_name()},
                     {"evaluation_sha256", event.evidence().evaluation_sha256()},
                     {"gates", GatesJson(event.evidence())},
                     {"reason", event.evidence().reason()}});
    std::printf(
        "%s\n",
        json::Write({{"champion", OptionalAdapter(history.has_champion(), history.champion())},
                     {"trouble", history.trouble()},
                     {"events", events}})
            .c_str());
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {{"TIME", "ACTION", "CHAMPION", "BEFORE", "RUN"}};
  std::vector<std::vector<std::string>> notes(1);
  const auto name = [](bool has, const common::v1::AdapterRef& adapter) {
    return has && adapter.version() > 0 ? absl::StrCat(adapter.version()) : std::string("base");
  };
  for (const v1::PromotionEvent& event : history.events()) {
    const v1::PromotionEvidence& evidence = event.evidence();
    rows.push_back({UtcIso(event.time().seconds()), ActionOf(event),
                    name(event.has_champion(), event.champion()),
                    name(event.has_previous(), event.previous()), event.run_id()});
    std::vector<std::string>& about = notes.emplace_back();
    if (!evidence.evaluation_name().empty())
      about.push_back(absl::StrCat("evaluation ", evidence.evaluation_name()));
    if (!evidence.reason().empty()) about.push_back(absl::StrCat("why: ", evidence.reason()));
  }
  std::fputs(FormatTable(rows, notes).c_str(), stdout);
  if (!history.trouble().empty())
    std::printf("\n%s", Wrap(PrintableLine(history.trouble()), kTableWidth, "").c_str());
  return 0;
}

}  // namespace

void AddPromoteCommands(CLI::App* app, Action* chosen) {
  auto options = std::make_shared<PromoteOptions>();
  const auto common = [&](CLI::App* sub) {
    sub->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
    sub->add_option("--reason", options->reason, "Kept in the history");
    sub->add_flag("--json", options->json, "One JSON value instead of text");
  };
  CLI::App* promote = app->add_subcommand(
      "promote",
      "Make an adapter the champion, which `summarize` serves by default, when an evaluation says "
      "that it is less toxic and no worse; exit code 3 when it does not");
  promote
      ->add_option("ADAPTER", options->adapter,
                   "The newest version of the cluster or another, the adapter of a run's step, a "
                   "PEFT folder, or base: the base model, which needs no evaluation")
      ->type_name("newest|base|VERSION|RUN@STEP|FOLDER")
      ->required();
  promote->add_option("--evaluation", options->evaluation,
                      "evaluation.json of `mellow evaluate` with the adapter as an arm");
  promote
      ->add_option("--max-rouge-loss", options->max_rouge_loss,
                   "The interval of the change of ROUGE-L must lie above minus this")
      ->capture_default_str();
  promote->add_flag("--force", options->force,
                    "Promote although a gate failed; the history says so");
  common(promote);
  promote->footer(
      "Examples:\n  mellow promote 38 --evaluation eval/evaluation.json\n  mellow promote "
      "build/demo-adapter --force --reason 'first one'");
  promote->callback([=] { *chosen = [=] { return Promote(*options); }; });

  CLI::App* rollback = app->add_subcommand(
      "rollback",
      "Go back to the champion before this one; before the first stands the base model");
  common(rollback);
  rollback->footer("Example:\n  mellow rollback --reason 'complaints about names'");
  rollback->callback([=] { *chosen = [=] { return RollBack(*options); }; });

  CLI::App* promotions = app->add_subcommand(
      "promotions", "Show who was the champion, since when, and on what grounds");
  promotions->add_option("--dir", options->dir, "Folder of the cluster")->capture_default_str();
  promotions->add_flag("--json", options->json, "One JSON value instead of a table");
  promotions->footer("Example:\n  mellow promotions");
  promotions->callback([=] { *chosen = [=] { return Promotions(*options); }; });
}

}  // namespace mellow::cli
