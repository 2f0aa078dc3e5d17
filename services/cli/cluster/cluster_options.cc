#include "services/cli/cluster/cluster_options.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status.h"

namespace mellow::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPolicyModel = "mini-summarizer";
constexpr const char* kRewardModel = "mini-toxicity";

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string BesideThisProgram(const Environment& environment, const std::string& name) {
  return fs::path(environment.executable).parent_path() / name;
}

// In deploy/models of MELLOW_HOME, of the tree around this program (a build folder inside the
// sources), or of the sources it was built from; or in share/mellow/models of an installation.
absl::StatusOr<std::string> ShippedModel(const Environment& environment, const std::string& name) {
  std::vector<fs::path> homes;
  if (!environment.home.empty()) homes.emplace_back(environment.home);
  for (fs::path folder = fs::path(environment.executable).parent_path(); folder.has_relative_path();
       folder = folder.parent_path())
    homes.push_back(folder);
  homes.emplace_back(MELLOW_SOURCE_DIR);
  for (const fs::path& home : homes) {
    for (const char* models : {"share/mellow/models", "deploy/models"}) {
      const fs::path model = home / models / name;
      if (Exists(model / "config.json")) return model.string();
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "the model ", name, " that ships with Mellow is not there (looked for share/mellow/models/",
      name, " and deploy/models/", name, " around the program and in ", MELLOW_SOURCE_DIR,
      "); set MELLOW_HOME, or name another model"));
}

absl::Status ResolveModel(const Environment& environment, const char* flag, const char* shipped,
                          std::string* model) {
  if (model->empty()) {
    MELLOW_ASSIGN_OR_RETURN(*model, ShippedModel(environment, shipped));
    return absl::OkStatus();
  }
  std::error_code ignored;
  if (!fs::is_directory(*model, ignored))
    return absl::NotFoundError(absl::StrCat(flag, " ", *model, ": no such folder"));
  *model = CanonicalFolder(*model);
  return absl::OkStatus();
}

}  // namespace

std::string CanonicalFolder(const std::string& folder) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(fs::absolute(folder, error), error);
  std::string text = error ? folder : canonical.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

absl::Status ClusterOptions::Validate() const {
  if (policies < 1 || policies > 64)
    return absl::InvalidArgumentError(absl::StrCat("--policies ", policies, ": 1 to 64"));
  if (rewards < 1 || rewards > 64)
    return absl::InvalidArgumentError(absl::StrCat("--rewards ", rewards, ": 1 to 64"));
  if (learners < 1 || learners > 64)
    return absl::InvalidArgumentError(absl::StrCat("--learners ", learners, ": 1 to 64"));
  if (threads < 0 || threads > 1024)
    return absl::InvalidArgumentError(
        absl::StrCat("--threads ", threads, ": 0 (all cores) to 1024"));
  if (keep_adapters < 0)
    return absl::InvalidArgumentError(
        absl::StrCat("--keep-adapters ", keep_adapters, ": 0 (all) or more"));
  if (!(drain_seconds >= 0))
    return absl::InvalidArgumentError(
        absl::StrCat("--drain-seconds ", drain_seconds, ": at least 0"));
  if (!(timeout_seconds > 0))
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout ", timeout_seconds, ": must be positive"));
  return absl::OkStatus();
}

std::vector<std::string> ClusterOptions::ToFlags() const {
  std::vector<std::string> flags = {"--dir",      folder,
                                    "--policies", absl::StrCat(policies),
                                    "--rewards",  absl::StrCat(rewards),
                                    "--learners", absl::StrCat(learners)};
  const auto add = [&flags](const char* flag, const std::string& value) {
    flags.insert(flags.end(), {flag, value});
  };
  add("--policy-model", policy_model);
  add("--reward-model", reward_model);
  if (!judge_model.empty()) add("--judge-model", judge_model);
  add("--threads", absl::StrCat(threads));
  add("--device", device);
  add("--dtype", dtype);
  if (!toxic_label.empty()) add("--toxic-label", toxic_label);
  add("--keep-adapters", absl::StrCat(keep_adapters));
  add("--log-level", log_level);
  add("--drain-seconds", absl::StrCat(drain_seconds));
  add("--timeout", absl::StrCat(timeout_seconds));
  return flags;
}

absl::Status ResolveClusterOptions(const Environment& environment, ClusterOptions* options) {
  MELLOW_RETURN_IF_ERROR(options->Validate());
  MELLOW_RETURN_IF_ERROR(
      ResolveModel(environment, "--policy-model", kPolicyModel, &options->policy_model));
  MELLOW_RETURN_IF_ERROR(
      ResolveModel(environment, "--reward-model", kRewardModel, &options->reward_model));
  if (!options->judge_model.empty())
    MELLOW_RETURN_IF_ERROR(ResolveModel(environment, "--judge-model", "", &options->judge_model));
  for (const char* role : {"policy", "reward", "learner", "orchestrator"}) {
    const std::string program =
        BesideThisProgram(environment, absl::StrCat("mellow_", role, "_server"));
    if (access(program.c_str(), X_OK) != 0) return ErrnoStatus(errno, program);
  }
  for (const char* part : {"logs", "ledger", "checkpoints"})
    MELLOW_RETURN_IF_ERROR(MakeFolders(absl::StrCat(options->folder, "/", part)));
  options->folder = CanonicalFolder(options->folder);
  return absl::OkStatus();
}

std::vector<ServicePlan> PlanServices(const Environment& environment,
                                      const ClusterOptions& options) {
  const int cores = options.threads > 0
                        ? options.threads
                        : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const auto make = [&](const std::string& role, const std::string& name,
                        std::vector<std::string> flags) {
    // Two roles have the programs of others.
    const std::string program = role == "learner_worker" ? "learner"
                                : role == "judge"        ? "reward"
                                                         : role;
    ServicePlan plan = {
        .name = name,
        .role = role,
        .arguments = {BesideThisProgram(environment, absl::StrCat("mellow_", program, "_server"))}};
    plan.arguments.insert(plan.arguments.end(), flags.begin(), flags.end());
    for (const std::string& flag :
         {std::string("--node-id"), name, std::string("--log-level"), options.log_level,
          std::string("--drain-seconds"), absl::StrCat(options.drain_seconds)}) {
      plan.arguments.push_back(flag);
    }
    return plan;
  };
  const auto computing = [&](const std::string& model, int threads) {
    return std::vector<std::string>{"--model",   model,
                                    "--device",  options.device,
                                    "--threads", absl::StrCat(std::max(1, threads))};
  };
  std::vector<ServicePlan> plans;
  plans.push_back(
      make("orchestrator", "orchestrator",
           {"--data-dir", absl::StrCat(options.folder, "/ledger"), "--policy-model",
            options.policy_model, "--keep-adapters", absl::StrCat(options.keep_adapters)}));
  std::vector<std::string> learner = computing(options.policy_model, cores / options.learners);
  learner.insert(learner.end(), {"--checkpoint-dir", absl::StrCat(options.folder, "/checkpoints"),
                                 "--keep-adapters", absl::StrCat(options.keep_adapters)});
  plans.push_back(make("learner", "learner", learner));
  for (int i = 0; i + 1 < options.learners; ++i) {
    std::vector<std::string> worker = computing(options.policy_model, cores / options.learners);
    worker.push_back("--worker");
    plans.push_back(make("learner_worker", absl::StrCat("learner-worker-", i), worker));
  }
  for (int i = 0; i < options.rewards; ++i) {
    std::vector<std::string> reward = computing(options.reward_model, cores / 2);
    if (!options.toxic_label.empty())
      reward.insert(reward.end(), {"--toxic-label", options.toxic_label});
    plans.push_back(make("reward", absl::StrCat("reward-", i), reward));
  }
  if (!options.judge_model.empty()) {
    std::vector<std::string> judge = computing(options.judge_model, cores / 2);
    judge.push_back("--judge");
    plans.push_back(make("judge", "judge", judge));
  }
  for (int i = 0; i < options.policies; ++i) {
    std::vector<std::string> policy = computing(options.policy_model, cores / options.policies);
    policy.insert(policy.end(), {"--dtype", options.dtype});
    plans.push_back(make("policy", absl::StrCat("policy-", i), policy));
  }
  return plans;
}

}  // namespace mellow::cli
