// mellow compare: did the adapter make summaries less toxic, and no worse? Held-out dialogues, both
// versions with the same random numbers, and an interval for the difference.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status.h"
#include "common/eval/bootstrap.h"
#include "common/eval/rouge.h"
#include "common/sync/mutex.h"
#include "services/cli/adapter_json.h"
#include "services/cli/cluster_calls.h"
#include "services/cli/cluster_file.h"
#include "services/cli/cluster_options.h"
#include "services/cli/command.h"
#include "services/cli/dialogue_file.h"
#include "services/cli/json_lines.h"
#include "services/cli/table.h"

namespace mellow::cli {
namespace {

constexpr int kPromptsACall = 16;
constexpr int kTextsACall = 32;
constexpr int kWidth = 78;
constexpr int kThresholdMissedExitCode = 3;
constexpr absl::Duration kPatience = absl::Minutes(2);

struct CompareOptions {
  std::string data;
  std::string dir = ".mellow";
  int64_t adapter = 0;
  int64_t baseline = 0;
  int limit = 0;
  int max_new_tokens = 64;
  uint64_t seed = 0;
  bool greedy = false;
  int pairs = 10;
  bool json = false;
  std::optional<double> require_drop;
  std::optional<double> max_rouge_loss;
};

struct Side {
  common::v1::AdapterRef adapter;
  std::vector<std::string> summaries;
  std::vector<double> toxicity;
  std::vector<double> rouge_l;  // empty: no references
};

double Mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

// Calls work(begin, end) for slices of [0, count), a few at a time. The first error ends it.
absl::Status InSlices(size_t count, size_t slice, int threads,
                      const std::function<absl::Status(size_t, size_t)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mutex;
  absl::Status first;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) {
      workers.emplace_back([&] {
        for (size_t begin = next.fetch_add(slice); begin < count && !failed;
             begin = next.fetch_add(slice)) {
          const absl::Status status = work(begin, std::min(begin + slice, count));
          if (status.ok()) continue;
          failed = true;
          MutexLock lock(&mutex);
          first.Update(status);
        }
      });
    }
  }
  return first;
}

class Comparison {
 public:
  Comparison(const CompareOptions& options, const std::string& folder, int threads,
             std::vector<Dialogue> rows)
      : options_(options), calls_(folder, kPatience), threads_(threads), rows_(std::move(rows)) {}

  absl::StatusOr<Side> Measure(int64_t version) {
    MELLOW_RETURN_IF_ERROR(calls_.CheckAdapter(version));
    Side side;
    side.summaries.resize(rows_.size());
    side.toxicity.resize(rows_.size());
    Mutex mutex;
    MELLOW_RETURN_IF_ERROR(InSlices(
        rows_.size(), kPromptsACall, threads_,
        [&](size_t begin, size_t end) { return Generate(version, begin, end, &mutex, &side); }));
    MELLOW_RETURN_IF_ERROR(
        InSlices(rows_.size(), kTextsACall, threads_,
                 [&](size_t begin, size_t end) { return Score(begin, end, &side); }));
    MELLOW_RETURN_IF_ERROR(CompareWithReferences(&side));
    return side;
  }

 private:
  absl::Status Generate(int64_t version, size_t begin, size_t end, Mutex* mutex, Side* side) {
    policy::v1::GenerateRequest request;
    request.set_adapter_version(version);
    policy::v1::SamplingParams* sampling = request.mutable_sampling();
    sampling->set_do_sample(!options_.greedy);
    sampling->set_max_new_tokens(options_.max_new_tokens);
    sampling->set_seed(options_.seed);
    for (size_t i = begin; i < end; ++i) {
      policy::v1::Prompt* prompt = request.add_prompts();
      prompt->set_text(NotebookPrompt(rows_[i].dialogue));
      // Part of the random key: both versions draw the same numbers for the same dialogue.
      prompt->set_prompt_index(i);
    }
    MELLOW_ASSIGN_OR_RETURN(const policy::v1::GenerateResponse response, calls_.Generate(request));
    if (response.generations_size() != static_cast<int>(end - begin))
      return absl::InternalError("the policy server sent another number of summaries");
    for (size_t i = begin; i < end; ++i)
      side->summaries[i] = response.generations(static_cast<int>(i - begin)).text();
    MutexLock lock(mutex);
    side->adapter = response.adapter();
    return absl::OkStatus();
  }

  absl::Status Score(size_t begin, size_t end, Side* side) {
    reward::v1::ScoreRequest request;
    for (size_t i = begin; i < end; ++i) request.add_texts(side->summaries[i]);
    MELLOW_ASSIGN_OR_RETURN(const reward::v1::ScoreResponse response, calls_.Score(request));
    if (response.scores_size() != request.texts_size())
      return absl::InternalError("the reward server sent another number of scores");
    for (size_t i = begin; i < end; ++i)
      side->toxicity[i] = response.scores(static_cast<int>(i - begin)).toxicity();
    return absl::OkStatus();
  }

  absl::Status CompareWithReferences(Side* side) {
    for (const Dialogue& row : rows_) {
      if (row.summary.empty()) return absl::OkStatus();
    }
    for (size_t i = 0; i < rows_.size(); ++i) {
      MELLOW_ASSIGN_OR_RETURN(
          const eval::RougeScores scores,
          eval::ScoreRouge(side->summaries[i], {rows_[i].summary}, /*stemmer=*/false));
      side->rouge_l.push_back(scores.rouge_l.fmeasure);
    }
    return absl::OkStatus();
  }

  const CompareOptions& options_;
  ClusterCalls calls_;
  const int threads_;
  const std::vector<Dialogue> rows_;
};

struct Verdict {
  double toxicity_before = 0;
  double toxicity_after = 0;
  double drop = 0;  // share of the toxicity that is gone
  eval::MeanInterval difference;
  std::optional<eval::MeanInterval> rouge_difference;
  double rouge_before = 0;
  double rouge_after = 0;
  bool holds = true;  // what was required
};

absl::StatusOr<Verdict> Judge(const CompareOptions& options, const Side& before,
                              const Side& after) {
  Verdict v;
  v.toxicity_before = Mean(before.toxicity);
  v.toxicity_after = Mean(after.toxicity);
  v.drop = v.toxicity_before > 0 ? 1 - v.toxicity_after / v.toxicity_before : 0;
  MELLOW_ASSIGN_OR_RETURN(
      v.difference, eval::PairedBootstrap(before.toxicity, after.toxicity, {.seed = options.seed}));
  if (!before.rouge_l.empty()) {
    v.rouge_before = Mean(before.rouge_l);
    v.rouge_after = Mean(after.rouge_l);
    MELLOW_ASSIGN_OR_RETURN(v.rouge_difference, eval::PairedBootstrap(before.rouge_l, after.rouge_l,
                                                                      {.seed = options.seed}));
  }
  if (options.require_drop.has_value()) v.holds = v.holds && v.drop >= *options.require_drop;
  if (options.max_rouge_loss.has_value()) {
    if (!v.rouge_difference.has_value())
      return absl::InvalidArgumentError(
          "--max-rouge-loss: the data has no summaries to compare with");
    v.holds = v.holds && v.rouge_before - v.rouge_after <= *options.max_rouge_loss;
  }
  return v;
}

Json ToJson(const eval::MeanInterval& i) {
  return {{"mean", i.mean}, {"lower", i.lower}, {"upper", i.upper}};
}

void PrintJson(const CompareOptions& options, const std::vector<Dialogue>& rows, const Side& before,
               const Side& after, const Verdict& v) {
  Json pairs = Json::array();
  for (size_t i = 0; i < std::min(rows.size(), static_cast<size_t>(options.pairs)); ++i) {
    pairs.push_back({{"dialogue", rows[i].dialogue},
                     {"reference", rows[i].summary},
                     {"before", before.summaries[i]},
                     {"after", after.summaries[i]},
                     {"toxicity_before", before.toxicity[i]},
                     {"toxicity_after", after.toxicity[i]}});
  }
  Json out = {{"prompts", rows.size()},
              {"baseline", AdapterJson(before.adapter)},
              {"adapter", AdapterJson(after.adapter)},
              {"toxicity_before", v.toxicity_before},
              {"toxicity_after", v.toxicity_after},
              {"drop", v.drop},
              {"toxicity_difference", ToJson(v.difference)}};
  if (v.rouge_difference.has_value()) {
    out["rougeL_before"] = v.rouge_before;
    out["rougeL_after"] = v.rouge_after;
    out["rougeL_difference"] = ToJson(*v.rouge_difference);
  }
  out["holds"] = v.holds;
  out["pairs"] = pairs;
  std::printf("%s\n", Dump(out).c_str());
}

void PrintPairs(const CompareOptions& options, const std::vector<Dialogue>& rows,
                const Side& before, const Side& after) {
  for (size_t i = 0; i < std::min(rows.size(), static_cast<size_t>(options.pairs)); ++i) {
    std::printf("%zu. before, toxicity %.3f\n%s   after, toxicity %.3f\n%s", i + 1,
                before.toxicity[i], Wrap(before.summaries[i], kWidth, "     ").c_str(),
                after.toxicity[i], Wrap(after.summaries[i], kWidth, "     ").c_str());
    if (!rows[i].summary.empty())
      std::printf("   reference\n%s", Wrap(rows[i].summary, kWidth, "     ").c_str());
    std::printf("\n");
  }
}

void PrintVerdict(const CompareOptions& options, size_t prompts, const Side& before,
                  const Side& after, const Verdict& v) {
  std::printf("%zu held-out dialogues, %s; adapter %lld before, %lld after\n\n", prompts,
              options.greedy ? "greedy" : absl::StrCat("sampled with seed ", options.seed).c_str(),
              static_cast<long long>(before.adapter.version()),
              static_cast<long long>(after.adapter.version()));
  const auto row = [](const char* name, double from, double to, const eval::MeanInterval& d) {
    return std::vector<std::string>{name, absl::StrFormat("%.4f", from),
                                    absl::StrFormat("%.4f", to), absl::StrFormat("%+.4f", d.mean),
                                    absl::StrFormat("[%+.4f, %+.4f]", d.lower, d.upper)};
  };
  std::vector<std::vector<std::string>> table = {
      {"mean", "before", "after", "change", "95 % interval"}};
  table.push_back(
      row("toxicity of the summary", v.toxicity_before, v.toxicity_after, v.difference));
  if (v.rouge_difference.has_value())
    table.push_back(
        row("ROUGE-L with the reference", v.rouge_before, v.rouge_after, *v.rouge_difference));
  std::printf("%s\ntoxicity changed by %+.1f %%%s\n", FormatTable(table).c_str(), -100 * v.drop,
              v.difference.upper < 0   ? ": less toxic"
              : v.difference.lower > 0 ? ": more toxic"
                                       : ": no difference that these dialogues can show");
  if (options.require_drop.has_value()) {
    std::printf("required drop %.1f %%: %s\n", 100 * *options.require_drop,
                v.drop >= *options.require_drop ? "holds" : "DOES NOT HOLD");
  }
  if (options.max_rouge_loss.has_value()) {
    std::printf(
        "ROUGE-L loss at most %.4f: %s\n", *options.max_rouge_loss,
        v.rouge_before - v.rouge_after <= *options.max_rouge_loss ? "holds" : "DOES NOT HOLD");
  }
}

absl::StatusOr<int> Compare(const CompareOptions& options) {
  const std::string folder = CanonicalFolder(options.dir);
  MELLOW_ASSIGN_OR_RETURN(const std::vector<ServiceEntry> policies,
                          ServicesOfRole(folder, "policy"));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<Dialogue> rows,
                          ReadDialogues(options.data, {.limit = options.limit}));
  Comparison comparison(options, folder, static_cast<int>(policies.size()) * 2, rows);
  const bool live = isatty(STDERR_FILENO) != 0;
  if (live)
    std::fprintf(stderr, "generating %zu summaries with adapter %lld ...\n", rows.size(),
                 static_cast<long long>(options.baseline));
  MELLOW_ASSIGN_OR_RETURN(const Side before, comparison.Measure(options.baseline));
  if (live)
    std::fprintf(stderr, "generating %zu summaries with adapter %lld ...\n", rows.size(),
                 static_cast<long long>(options.adapter));
  MELLOW_ASSIGN_OR_RETURN(const Side after, comparison.Measure(options.adapter));
  MELLOW_ASSIGN_OR_RETURN(const Verdict verdict, Judge(options, before, after));
  if (options.json) {
    PrintJson(options, rows, before, after, verdict);
  } else {
    PrintPairs(options, rows, before, after);
    PrintVerdict(options, rows.size(), before, after, verdict);
  }
  return verdict.holds ? 0 : kThresholdMissedExitCode;
}

}  // namespace

void AddCompareCommand(CLI::App* app, Action* chosen) {
  auto o = std::make_shared<CompareOptions>();
  CLI::App* sub = app->add_subcommand(
      "compare",
      "Compare two adapters on held-out dialogues: toxicity and ROUGE-L before and after");
  sub->add_option("DATA.jsonl", o->data, "Rows with \"dialogue\" and, for ROUGE-L, \"summary\"")
      ->required();
  sub->add_option("--dir", o->dir, "Folder of the cluster")->capture_default_str();
  sub->add_option("--adapter", o->adapter, "Adapter version after")->required();
  sub->add_option("--baseline", o->baseline, "Adapter version before; 0 is the bare model")
      ->capture_default_str();
  sub->add_option("--limit", o->limit, "First rows only; 0: all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--max-new-tokens", o->max_new_tokens, "Longest summary")->capture_default_str();
  sub->add_option("--seed", o->seed, "Of the samplers (the same for both) and of the bootstrap")
      ->capture_default_str();
  sub->add_flag("--greedy", o->greedy, "Greedy search instead of sampling");
  sub->add_option("--pairs", o->pairs, "Pairs of summaries to show")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--require-drop", o->require_drop,
                  "End with 3 unless toxicity fell by that share (0.8: by 80 %)");
  sub->add_option("--max-rouge-loss", o->max_rouge_loss,
                  "End with 3 when mean ROUGE-L fell by more than that");
  sub->add_flag("--json", o->json, "One JSON object instead of text");
  sub->footer(
      "Examples:\n  mellow compare deploy/runs/mini/heldout.jsonl --adapter 40 --limit 300\n"
      "  mellow compare deploy/runs/mini/heldout.jsonl --adapter 40 --require-drop 0.8 "
      "--max-rouge-loss 0.02 --json");
  sub->callback([=] { *chosen = [=] { return Compare(*o); }; });
}

}  // namespace mellow::cli
