// Whole models on the CPU backend: greedy tokens per second and classified texts per second, one
// JSON line per measurement.
//   model_bench generate MODEL PROMPTS.jsonl --batch 16 --new 64 --threads 2 --dtype float32
//   model_bench classify MODEL TEXTS.jsonl --batch 16 --threads 2
//   model_bench score MODEL PROMPTS.jsonl --batch 16 --new 64
// The files hold {"dialogue": ...} lines; prompts are made as the notebook makes them. Seconds are
// the best of --repeat runs.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "common/nn/generation/generate.h"
#include "common/nn/load.h"
#include "common/text/load_tokenizer.h"
#include "nlohmann/json.hpp"

namespace mellow {
namespace {

struct Options {
  std::string model;
  std::string file;
  int batch = 16;
  int new_tokens = 64;
  int texts = 64;
  int repeat = 3;
  int threads = 2;
  std::string dtype = "float32";
};

std::vector<std::vector<int32_t>> Prompts(const Options& options, int count) {
  auto tokenizer = text::LoadTokenizer(options.model);
  if (!tokenizer.ok()) {
    std::cerr << tokenizer.status() << "\n";
    std::exit(1);
  }
  std::ifstream file(options.file);
  std::vector<std::vector<int32_t>> prompts;
  for (std::string line; static_cast<int>(prompts.size()) < count && std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("dialogue")) continue;
    const auto dialogue = json["dialogue"].get<std::string>();
    if (dialogue.size() <= 200 || dialogue.size() > 1000) continue;
    prompts.push_back(
        *(*tokenizer)
             ->Encode("\nSummarize the following conversation.\n\n" + dialogue + "\n\nSummary:\n",
                      512));
  }
  return prompts;
}

// Wall time, or with one thread the CPU's, which a busy machine disturbs less.
double Now(bool cpu) {
  timespec now;
  clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Best(const Options& options, int repeat, const std::function<void()>& body) {
  double best = 1e9;
  for (int i = 0; i < repeat; ++i) {
    const double start = Now(options.threads == 1);
    body();
    best = std::min(best, Now(options.threads == 1) - start);
  }
  return best;
}

template <class T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::cerr << value.status() << "\n";
    std::exit(1);
  }
  return std::move(*value);
}

nn::LoadOptions ToLoadOptions(const Options& options) {
  return {.threads = options.threads, .weights = Must(nn::ParseWeightType(options.dtype))};
}

void RunGenerate(const Options& options) {
  auto model = Must(nn::LoadSeq2SeqModel(options.model, ToLoadOptions(options)));
  const std::vector<std::vector<int32_t>> prompts = Prompts(options, options.batch);
  std::vector<nn::EncodeRequest> encode;
  size_t source_tokens = 0;
  for (const auto& ids : prompts) {
    encode.push_back({ids, nullptr, options.new_tokens});
    source_tokens += ids.size();
  }
  const double encode_seconds =
      Best(options, options.repeat, [&] { (void)Must(model->Encode(encode)); });
  auto rows = Must(model->Encode(encode));
  std::vector<nn::DecodeRow*> pointers;
  for (auto& row : rows) pointers.push_back(row.get());
  const std::vector<int32_t> tokens(prompts.size(), model->config().decoder_start_token_id);
  std::vector<float> logits;
  const double step_seconds =
      Best(options, options.new_tokens - 1, [&] { (void)model->Step(pointers, tokens, &logits); });

  std::vector<nn::GenerateItem> items;
  for (const auto& ids : prompts) {
    items.push_back(
        {.source_ids = ids,
         .params = {.max_new_tokens = options.new_tokens, .min_new_tokens = options.new_tokens}});
  }
  const double seconds =
      Best(options, options.repeat, [&] { (void)Must(nn::Generate(*model, items)); });
  std::printf(
      "{\"engine\": \"mellow-%s\", \"batch\": %zu, \"new\": %d, \"source_tokens\": %zu, "
      "\"encode_s\": %.4f, \"step_s\": %.5f, \"seconds\": %.3f, \"tokens_per_s\": %.1f}\n",
      options.dtype.c_str(), prompts.size(), options.new_tokens, source_tokens, encode_seconds,
      step_seconds, seconds, static_cast<double>(prompts.size()) * options.new_tokens / seconds);
}

void RunScore(const Options& options) {
  auto model = Must(nn::LoadSeq2SeqModel(options.model, ToLoadOptions(options)));
  const std::vector<std::vector<int32_t>> prompts = Prompts(options, options.batch);
  std::vector<nn::ScoreRequest> requests;
  for (const auto& ids : prompts) {
    const size_t target = std::min(ids.size(), static_cast<size_t>(options.new_tokens));
    requests.push_back({ids, absl::MakeSpan(ids).subspan(0, target), nullptr});
  }
  const double seconds =
      Best(options, options.repeat, [&] { (void)Must(model->ScoreTokens(requests)); });
  std::printf("{\"engine\": \"mellow-%s\", \"batch\": %zu, \"target\": %d, \"seconds\": %.3f}\n",
              options.dtype.c_str(), prompts.size(), options.new_tokens, seconds);
}

void RunClassify(const Options& options) {
  auto model = Must(nn::LoadSequenceClassifier(options.model, ToLoadOptions(options)));
  const std::vector<std::vector<int32_t>> texts = Prompts(options, options.texts);
  size_t tokens = 0;
  for (const auto& ids : texts) tokens += ids.size();
  const double seconds = Best(options, options.repeat, [&] {
    for (size_t i = 0; i < texts.size(); i += options.batch) {
      const size_t count = std::min(texts.size() - i, static_cast<size_t>(options.batch));
      (void)Must(model->Classify(absl::MakeSpan(texts).subspan(i, count)));
    }
  });
  const double flops = 2.0 * static_cast<double>(tokens) * 85e6;
  std::printf(
      "{\"engine\": \"mellow-%s\", \"texts\": %zu, \"batch\": %d, \"tokens\": %zu, \"seconds\": "
      "%.3f, \"texts_per_s\": %.2f, \"gflops\": %.1f}\n",
      options.dtype.c_str(), texts.size(), options.batch, tokens, seconds,
      static_cast<double>(texts.size()) / seconds, 1e-9 * flops / seconds);
}

}  // namespace
}  // namespace mellow

int main(int argc, char** argv) {
  mellow::Options options;
  CLI::App app("Speed of whole models on the CPU");
  app.require_subcommand(1);
  for (const auto& [name, run] : {std::pair{"generate", &mellow::RunGenerate},
                                  {"classify", &mellow::RunClassify},
                                  {"score", &mellow::RunScore}}) {
    CLI::App* command = app.add_subcommand(name);
    command->add_option("model", options.model)->required();
    command->add_option("file", options.file)->required();
    command->add_option("--batch", options.batch)->check(CLI::PositiveNumber);
    command->add_option("--new", options.new_tokens)->check(CLI::Range(2, 512));
    command->add_option("--texts", options.texts)->check(CLI::PositiveNumber);
    command->add_option("--repeat", options.repeat)->check(CLI::PositiveNumber);
    command->add_option("--threads", options.threads)->check(CLI::PositiveNumber);
    command->add_option("--dtype", options.dtype);
    command->callback([&options, run = run] { run(options); });
  }
  CLI11_PARSE(app, argc, argv);
  return 0;
}
