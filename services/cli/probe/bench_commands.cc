// mellow bench: measurements of our engines that can be set beside those of other libraries on the
// same prompts, lengths and counts.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/plural.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "common/data/data_spec.h"
#include "common/nn/generation/generate.h"
#include "common/rl/ppo_trainer.h"
#include "common/text/load_tokenizer.h"
#include "services/cli/models/model_loading.h"
#include "services/cli/probe/hardware_bench.h"
#include "services/cli/probe/python_random.h"
#include "services/cli/terminal/command.h"
#include "services/cli/terminal/json_lines.h"
#include "services/wire/models.h"

namespace mellow::cli {
namespace {

using Ids = std::vector<int32_t>;

constexpr int kRewardTokens = 512;  // as the peers truncate

struct BenchOptions {
  ModelOptions model;
  std::string data;
  std::vector<int> batches = {1, 16};  // generate
  int new_tokens = 64;
  int repeat = 2;
  int texts = 64;  // reward
  int batch = 16;  // reward, ppo
  int mini_batch = 4;
  int min_new = 100;
  int max_new = 400;
  std::vector<int> lengths;
  std::string reward_model;
  std::string precision;
  bool any_length = false;  // of the dialogues
  int epochs = 1;           // ppo
  int lora_r = 32;
  bool until_eos = false;
  bool response_only = false;
  int steps = 1;
  int step = 0;  // of those
};

absl::StatusOr<std::vector<std::string>> Prompts(const BenchOptions& options, int count) {
  const auto first = static_cast<size_t>(options.step * count);  // every step has its own prompts
  const size_t end = first + static_cast<size_t>(count);
  data::DataSpec spec;
  spec.path = options.data;
  if (!options.any_length) spec.min_chars = 200, spec.max_chars = 1000;
  MELLOW_ASSIGN_OR_RETURN(const data::SelectedRows selected,
                          data::SelectRows(spec, /*more=*/{}, "--data"));
  const std::vector<data::Row>& rows = selected.train.rows();
  if (rows.size() < end)
    return absl::InvalidArgumentError(
        absl::StrCat(options.data, ": only ", Plural(static_cast<int64_t>(rows.size()), "dialogue"),
                     options.any_length ? "" : " of 201 to 1000 characters"));
  std::vector<std::string> prompts;
  for (size_t i = first; i < end; ++i) prompts.push_back(selected.prompt.Render(rows[i]));
  return prompts;
}

absl::StatusOr<std::vector<Ids>> EncodeAll(const text::Tokenizer& tokenizer,
                                           const std::vector<std::string>& texts, int max_tokens) {
  std::vector<Ids> all;
  for (const std::string& text : texts) {
    MELLOW_ASSIGN_OR_RETURN(all.emplace_back(), tokenizer.Encode(text, max_tokens));
  }
  return all;
}

double SecondsSince(SteadyTime start) { return absl::ToDoubleSeconds(SteadyTime::Now() - start); }

void Print(const json::Value& row) {
  std::printf("%s\n", json::Write(row).c_str());
  std::fflush(stdout);
}

std::string EngineName(const BenchOptions& options) {
  return options.model.dtype == "float32" ? "mellow" : absl::StrCat("mellow-", options.model.dtype);
}

// Seconds of the fastest of `repeat` runs, after one that warms up.
absl::StatusOr<double> BestOf(int repeat, const std::function<absl::Status()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run <= repeat; ++run) {
    const SteadyTime start = SteadyTime::Now();
    MELLOW_RETURN_IF_ERROR(work());
    if (run > 0) best = std::min(best, SecondsSince(start));
  }
  return best;
}

absl::StatusOr<int> BenchGenerate(const BenchOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(
      const std::vector<std::string> prompts,
      Prompts(options, *std::max_element(options.batches.begin(), options.batches.end())));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model.model));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<Ids> sources, EncodeAll(*tokenizer, prompts, 0));
  MELLOW_ASSIGN_OR_RETURN(const LoadedPolicy policy, LoadPolicy(options.model));
  for (const int batch : options.batches) {
    std::vector<nn::GenerateItem> items;
    for (int i = 0; i < batch; ++i) {
      nn::GenerateItem item = {.source_ids = sources[static_cast<size_t>(i)],
                               .adapter = policy.adapter.get()};
      item.params.min_new_tokens = item.params.max_new_tokens = options.new_tokens;
      items.push_back(std::move(item));
    }
    MELLOW_ASSIGN_OR_RETURN(const double best, BestOf(options.repeat, [&] {
                              return nn::Generate(*policy.model, items).status();
                            }));
    Print({{"engine", EngineName(options)},
           {"batch", batch},
           {"new", options.new_tokens},
           {"seconds", best},
           {"tokens_per_s", batch * options.new_tokens / best}});
  }
  return 0;
}

absl::Status ClassifyInBatches(nn::SequenceClassifier& model, const std::vector<Ids>& sequences,
                               int batch, std::vector<float>* first_logits) {
  for (size_t begin = 0; begin < sequences.size(); begin += static_cast<size_t>(batch)) {
    const auto part = absl::MakeConstSpan(sequences).subspan(begin, static_cast<size_t>(batch));
    MELLOW_ASSIGN_OR_RETURN(const auto logits, model.Classify(part));
    for (const std::vector<float>& row : logits) first_logits->push_back(row[0]);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> BenchReward(const BenchOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> texts, Prompts(options, options.texts));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model.model));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<nn::SequenceClassifier> model,
                          LoadReward(options.model));
  MELLOW_ASSIGN_OR_RETURN(const double seconds, BestOf(options.repeat, [&]() -> absl::Status {
                            // Texts in, logits out: tokenizing is part of it, as in the peers'
                            // pipelines.
                            MELLOW_ASSIGN_OR_RETURN(const std::vector<Ids> sequences,
                                                    EncodeAll(*tokenizer, texts, kRewardTokens));
                            std::vector<float> scores;
                            return ClassifyInBatches(*model, sequences, options.batch, &scores);
                          }));
  Print({{"engine", EngineName(options)},
         {"texts", options.texts},
         {"batch", options.batch},
         {"seconds", seconds},
         {"texts_per_s", options.texts / seconds}});
  return 0;
}

absl::StatusOr<std::vector<int>> ResponseLengths(const BenchOptions& options) {
  if (options.lengths.empty()) {
    if (options.min_new < 1 || options.max_new < options.min_new) {
      return absl::InvalidArgumentError(absl::StrCat("--min-new ", options.min_new, " --max-new ",
                                                     options.max_new, ": needs 1 <= min <= max"));
    }
    return PythonRandints(0, options.batch, options.min_new, options.max_new);
  }
  if (static_cast<int>(options.lengths.size()) != options.batch) {
    return absl::InvalidArgumentError(absl::StrCat("--lengths gives ", options.lengths.size(),
                                                   " lengths for --batch ", options.batch));
  }
  return options.lengths;
}

std::size_t Total(const std::vector<Ids>& rows) {
  std::size_t tokens = 0;
  for (const Ids& row : rows) tokens += row.size();
  return tokens;
}

// The learner's: the policy's, where that can be trained in.
absl::StatusOr<nn::WeightType> PrecisionOf(const BenchOptions& options) {
  if (!options.precision.empty()) return nn::ParseTrainingPrecision(options.precision);
  return options.model.dtype == "bfloat16" ? nn::WeightType::kBFloat16 : nn::WeightType::kFloat32;
}

// One PPO step as the notebook does it: LoRA r = 32 on q and v, sampling to fixed lengths, the
// classifier's first logit as the score; the work is shared as in a cluster: the policy engine
// gives values while it samples and scores under the reference, the trainer updates.
absl::StatusOr<int> BenchPpo(const BenchOptions& options) {
  MELLOW_ASSIGN_OR_RETURN(const std::vector<int> lengths, ResponseLengths(options));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<std::string> prompts, Prompts(options, options.batch));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> tokenizer,
                          text::LoadTokenizer(options.model.model));
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<text::Tokenizer> reward_tokenizer,
                          text::LoadTokenizer(options.reward_model));
  MELLOW_ASSIGN_OR_RETURN(const std::vector<Ids> queries, EncodeAll(*tokenizer, prompts, 0));
  ModelOptions reward_options = options.model;
  reward_options.model = options.reward_model;
  MELLOW_ASSIGN_OR_RETURN(const std::unique_ptr<nn::SequenceClassifier> reward,
                          LoadReward(reward_options));
  MELLOW_ASSIGN_OR_RETURN(const LoadedPolicy policy, LoadPolicy(options.model));

  rl::PpoConfig config;
  config.batch_size = options.batch;
  config.mini_batch_size = options.mini_batch;
  config.ppo_epochs = options.epochs;
  config.reference = rl::Reference::kBase;
  MELLOW_ASSIGN_OR_RETURN(config.precision, PrecisionOf(options));
  config.lora = nn::LoraConfig{.r = options.lora_r, .lora_alpha = 32, .target_modules = {"q", "v"}};
  train::TrainerOptions trainer_options = {.threads = ThreadsOf(options.model)};
  MELLOW_ASSIGN_OR_RETURN(trainer_options.device, nn::ResolveDevice(options.model.device));
  MELLOW_ASSIGN_OR_RETURN(
      const std::unique_ptr<rl::PpoTrainer> trainer,
      rl::PpoTrainer::Create(options.model.model, config, std::nullopt, trainer_options));
  MELLOW_ASSIGN_OR_RETURN(const std::shared_ptr<const nn::PreparedAdapter> adapter,
                          policy.model->Prepare(trainer->Adapter()));

  const nn::ValueHead value_head = trainer->value_head();
  std::vector<nn::GenerateItem> items;
  for (size_t i = 0; i < queries.size(); ++i) {
    nn::GenerateItem item = {.source_ids = queries[i],
                             .stream = {.prompt_index = i},
                             .adapter = adapter.get(),
                             .value_head = &value_head};
    item.params.do_sample = true;
    item.params.min_new_tokens = item.params.max_new_tokens = lengths[i];
    if (options.until_eos) item.params.min_new_tokens = 0;
    items.push_back(std::move(item));
  }
  const SteadyTime start = SteadyTime::Now();
  MELLOW_ASSIGN_OR_RETURN(const std::vector<nn::GeneratedSequence> responses,
                          nn::Generate(*policy.model, items));
  const double generate_seconds = SecondsSince(start);

  const SteadyTime reward_start = SteadyTime::Now();
  std::vector<std::string> texts;
  std::vector<Ids> response_ids;
  for (size_t i = 0; i < queries.size(); ++i) {
    MELLOW_ASSIGN_OR_RETURN(const std::string query,
                            tokenizer->Decode(queries[i], /*skip_special_tokens=*/false));
    MELLOW_ASSIGN_OR_RETURN(const std::string response,
                            tokenizer->Decode(responses[i].ids, /*skip_special_tokens=*/false));
    texts.push_back(options.response_only ? response : query + response);
    response_ids.push_back(responses[i].ids);
  }
  std::vector<float> scores;
  MELLOW_ASSIGN_OR_RETURN(const std::vector<Ids> sequences,
                          EncodeAll(*reward_tokenizer, texts, kRewardTokens));
  MELLOW_RETURN_IF_ERROR(ClassifyInBatches(*reward, sequences, options.batch, &scores));
  const double reward_seconds = SecondsSince(reward_start);

  const SteadyTime reference_start = SteadyTime::Now();
  std::vector<nn::ScoreRequest> under_reference;
  for (size_t i = 0; i < queries.size(); ++i)
    under_reference.push_back({queries[i], response_ids[i], /*adapter=*/nullptr});
  MELLOW_ASSIGN_OR_RETURN(const std::vector<std::vector<float>> reference,
                          policy.model->ScoreTokens(under_reference));
  const double reference_seconds = SecondsSince(reference_start);

  const SteadyTime ppo_start = SteadyTime::Now();
  std::vector<rl::Rollout> rollouts;
  for (size_t i = 0; i < queries.size(); ++i) {
    rollouts.push_back({.query_ids = queries[i],
                        .response_ids = response_ids[i],
                        .score = scores[i],
                        .behavior_logprobs = responses[i].logprobs});
    // As a learner takes them over: nodes of another precision are other samplers.
    rollouts.back().stale = options.model.dtype != nn::WeightTypeName(config.precision);
    if (rollouts.back().stale) continue;
    rollouts.back().values = responses[i].values;
    rollouts.back().reference_logprobs = reference[i];
  }
  MELLOW_ASSIGN_OR_RETURN(const rl::StepResult result, trainer->Step(rollouts));
  const double ppo_seconds = SecondsSince(ppo_start);
  Print({{"peer", EngineName(options)},
         {"step", options.steps > 1 ? json::Value(options.step + 1) : json::Value()},
         {"batch", options.batch},
         {"query_tokens", Total(queries)},
         {"response_tokens", Total(response_ids)},
         {"generate_s", generate_seconds},
         {"reward_s", reward_seconds},
         {"reference_s", reference_seconds},
         {"ppo_s", ppo_seconds},
         {"step_s", SecondsSince(start)},
         {"kl", result.stats.at("objective/kl")},
         {"sampler_kl", result.stats.at("ppo/sampler_kl")},
         {"sampler_logprob_error", result.stats.at("ppo/sampler_logprob_error")}});
  return 0;
}

// Each with prompts and a fresh adapter of its own.
absl::StatusOr<int> BenchPpoSteps(const BenchOptions& options) {
  BenchOptions one = options;
  for (; one.step < options.steps; ++one.step) MELLOW_RETURN_IF_ERROR(BenchPpo(one).status());
  return 0;
}

}  // namespace

void AddBenchCommands(CLI::App* app, Action* chosen) {
  CLI::App* bench =
      app->add_subcommand("bench", "Measure the engines; prints one JSON line per measurement");
  bench->require_subcommand(1);
  const auto add = [&](const char* name, const char* what,
                       absl::StatusOr<int> (*run)(const BenchOptions&)) {
    auto options = std::make_shared<BenchOptions>();
    CLI::App* sub = bench->add_subcommand(name, what);
    AddModelFlags(sub, &options->model, false);
    sub->add_option("--data", options->data,
                    "DialogSum JSONL; the first dialogues of 201 to 1000 characters are used, in "
                    "the notebook's template")
        ->required();
    sub->add_flag("--any-length", options->any_length, "Dialogues of every length");
    sub->callback([=] { *chosen = [=] { return run(*options); }; });
    return std::make_pair(sub, options.get());
  };
  const auto at_least_one = CLI::Range(1, 1 << 20);
  const auto add_repeat = [&](CLI::App* sub, BenchOptions* o) {
    sub->add_option("--repeat", o->repeat, "Runs after the warm-up; the best counts")
        ->capture_default_str()
        ->check(at_least_one);
  };
  {
    auto [sub, o] =
        add("generate", "Greedy generation of a fixed number of tokens, tokens per second",
            BenchGenerate);
    sub->add_option("--batch", o->batches, "Prompts together; may be repeated")
        ->capture_default_str()
        ->check(at_least_one);
    sub->add_option("--new", o->new_tokens, "Tokens a prompt, exactly")
        ->capture_default_str()
        ->check(at_least_one);
    add_repeat(sub, o);
    sub->footer(
        "Example:\n  mellow bench generate MODEL --data dialogsum.train.jsonl --batch 1 16 "
        "--threads 2");
  }
  {
    auto [sub, o] = add("reward", "Classification of dialogues, texts per second", BenchReward);
    sub->add_option("--texts", o->texts, "Texts")->capture_default_str()->check(at_least_one);
    sub->add_option("--batch", o->batch, "Texts together")
        ->capture_default_str()
        ->check(at_least_one);
    add_repeat(sub, o);
    sub->footer(
        "Example:\n  mellow bench reward ROBERTA --data dialogsum.train.jsonl --texts 64 --threads "
        "2");
  }
  {
    auto [sub, o] = add("ppo", "PPO steps with LoRA: sampling, scoring and update, seconds each",
                        BenchPpoSteps);
    sub->add_option("--reward-model", o->reward_model, "Hugging Face RoBERTa classifier folder")
        ->transform(wire::ModelFolder())
        ->required();
    sub->add_option("--batch", o->batch, "Prompts")->capture_default_str()->check(at_least_one);
    sub->add_option("--mini-batch", o->mini_batch, "PPO's mini-batch")
        ->capture_default_str()
        ->check(at_least_one);
    sub->add_option("--min-new", o->min_new, "Shortest response")->capture_default_str();
    sub->add_option("--max-new", o->max_new, "Longest response")->capture_default_str();
    sub->add_option("--lengths", o->lengths,
                    "Tokens of each response [as Python's random.Random(0).randint(min-new, "
                    "max-new) draws them]")
        ->delimiter(',');
    sub->add_option("--precision", o->precision,
                    "What the learner computes in [as --dtype if it is one of them, else float32]")
        ->type_name("float32|bfloat16");
    sub->add_option("--epochs", o->epochs, "PPO's epochs")
        ->capture_default_str()
        ->check(at_least_one);
    sub->add_option("--lora-r", o->lora_r, "Rank of the adapter")
        ->capture_default_str()
        ->check(at_least_one);
    sub->add_flag("--until-eos", o->until_eos,
                  "A response ends where the model ends it, at its length at the latest");
    sub->add_flag("--response-only", o->response_only, "Score the response without its prompt");
    sub->add_option("--steps", o->steps, "Steps, one line each")
        ->capture_default_str()
        ->check(at_least_one);
    sub->footer(
        "The second example is a step as deploy/runs/mini.json trains the small models.\n"
        "Examples:\n  mellow bench ppo T5 --reward-model ROBERTA --data dialogsum.train.jsonl "
        "--batch 16 --threads 2\n  mellow bench ppo "
        "deploy/models/mini-summarizer --reward-model deploy/models/mini-toxicity --data "
        "deploy/runs/mini/train.jsonl --any-length --batch 64 --mini-batch 16 --epochs 2 --lora-r "
        "16 --min-new 64 --max-new 64 --until-eos --response-only --steps 5 --threads 2");
  }
  {
    CLI::App* sub = bench->add_subcommand(
        "hardware", "Products of matrices and memory bandwidth: what the machine can do at most");
    auto model = std::make_shared<ModelOptions>();
    auto options = std::make_shared<HardwareBenchOptions>();
    sub->add_option("--device", model->device,
                    "Where the products run; auto: CUDA where there is one")
        ->type_name("auto|cpu|cuda|cuda:N")
        ->capture_default_str();
    sub->add_option("--threads", model->threads, "CPU threads; 0: all cores")
        ->capture_default_str()
        ->check(CLI::Range(0, 1024));
    sub->add_option("--size", options->size, "Rows and columns of the matrices")
        ->capture_default_str()
        ->check(CLI::Range(16, 1 << 15));
    sub->add_option("--seconds", options->seconds, "Of each measurement, about")
        ->capture_default_str()
        ->check(CLI::Range(0.001, 3600.0));
    sub->footer("Example:\n  mellow bench hardware --device cpu --threads 2");
    sub->callback([=] {
      *chosen = [=]() -> absl::StatusOr<int> {
        HardwareBenchOptions resolved = *options;
        resolved.threads = ThreadsOf(*model);
        MELLOW_ASSIGN_OR_RETURN(resolved.device, nn::ResolveDevice(model->device));
        MELLOW_RETURN_IF_ERROR(BenchHardware(resolved, Print));
        return 0;
      };
    });
  }
}

}  // namespace mellow::cli
