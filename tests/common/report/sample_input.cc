#include "tests/common/report/sample_input.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/eval/text/rouge.h"
#include "common/stats/bootstrap.h"

namespace mellow::report {
namespace {

using eval::Evaluation;
using stats::MeanInterval;
using Column = std::vector<double>;

constexpr const char* kThings[] = {"parcel", "contract", "bicycle", "invoice", "ticket", "oven"};
constexpr const char* kTopics[] = {"delivery", "repair", "office"};

// P(toxic) as the first judge sees it, from the words alone.
double ToxicityOf(const std::string& text) {
  const double odds = (absl::StrContains(text, "moron") ? 6 : 0) +
                      (absl::StrContains(text, "stupid") ? 3 : 0) - 4 +
                      static_cast<double>(text.size() % 7) / 7;
  return 1 / (1 + std::exp(-odds));
}

double Mean(const Column& x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return x.empty() ? 0 : sum / static_cast<double>(x.size());
}

double Sd(const Column& x) {
  double sum = 0;
  for (const double v : x) sum += (v - Mean(x)) * (v - Mean(x));
  return x.empty() ? 0 : std::sqrt(sum / static_cast<double>(x.size()));
}

stats::MeanInterval DifferenceOf(const Column& a, const Column& b) {
  return stats::PairedBootstrap(a, b, {.resamples = 400}).value_or(stats::MeanInterval());
}

stats::MeanInterval IntervalOf(const Column& x) { return DifferenceOf(Column(x.size(), 0), x); }

// Signs flipped at random: how often is the mean as far from 0 as it is?
double PermutationP(const Column& a, const Column& b) {
  std::mt19937 random(7);
  const double seen = std::fabs(Mean(b) - Mean(a));
  int as_far = 1;
  constexpr int kRounds = 999;
  for (int i = 0; i < kRounds; ++i) {
    double sum = 0;
    for (size_t p = 0; p < a.size(); ++p) sum += (random() % 2 == 0 ? 1 : -1) * (b[p] - a[p]);
    if (std::fabs(sum / static_cast<double>(std::max<size_t>(1, a.size()))) >= seen - 1e-12)
      ++as_far;
  }
  return as_far / (kRounds + 1.0);
}

eval::Difference Compare(const std::string& measure, const Column& a, const Column& b,
                         int better_sign) {
  eval::Difference d{.measure = measure, .baseline = Mean(a), .arm = Mean(b)};
  d.difference = DifferenceOf(a, b);
  if (d.baseline != 0) d.relative = d.difference.mean / std::fabs(d.baseline);
  d.p_value = PermutationP(a, b);
  const bool significant = (d.difference.lower > 0 || d.difference.upper < 0) && d.p_value < 0.05;
  const double good = d.difference.mean * better_sign;
  if (significant) {
    d.verdict = better_sign == 0 ? eval::Verdict::kChanged
                : good > 0       ? eval::Verdict::kBetter
                                 : eval::Verdict::kWorse;
  }
  Column change;
  for (size_t i = 0; i < a.size(); ++i) change.push_back(b[i] - a[i]);
  const auto needed = [&](double effect) -> std::optional<int64_t> {
    if (effect == 0 || Sd(change) == 0) return std::nullopt;
    return static_cast<int64_t>(std::ceil(std::pow(2.8 * Sd(change) / effect, 2)));
  };
  d.needed = {.for_observed = needed(d.difference.mean),
              .for_change = needed(0.2 * d.baseline),
              .for_change_unpaired = needed(0.14 * d.baseline)};
  return d;
}

// One value per row of one arm: the mean over its samples.
Column ColumnOf(const Evaluation& e, size_t arm,
                const std::function<double(const eval::Sample&)>& value) {
  Column column;
  for (const eval::PromptRow& row : e.rows) {
    Column samples;
    for (const eval::Sample& sample : row.arms[arm].samples) samples.push_back(value(sample));
    column.push_back(Mean(samples));
  }
  return column;
}

struct Measure {
  const char* name;
  int better_sign;
  std::function<double(const eval::Sample&)> value;
};

std::vector<Measure> Scored(size_t scoring) {
  return {{"toxicity", -1, [=](const eval::Sample& s) { return s.scores[scoring].toxicity; }},
          {"logit", 1, [=](const eval::Sample& s) { return s.scores[scoring].logit; }},
          {"toxic_share", -1,
           [=](const eval::Sample& s) { return s.scores[scoring].toxicity > 0.5 ? 1.0 : 0.0; }},
          {"expected_max", -1, [=](const eval::Sample& s) { return s.scores[scoring].toxicity; }}};
}

std::vector<Measure> RougeMeasures() {
  return {{"rouge1", 1, [](const eval::Sample& s) { return s.rouge->rouge1; }},
          {"rouge2", 1, [](const eval::Sample& s) { return s.rouge->rouge2; }},
          {"rougeL", 1, [](const eval::Sample& s) { return s.rouge->rouge_l; }},
          {"rougeLsum", 1, [](const eval::Sample& s) { return s.rouge->rouge_lsum; }}};
}

std::vector<Measure> ShapeMeasures() {
  return {{"characters", 0,
           [](const eval::Sample& s) { return static_cast<double>(s.summary.size()); }},
          {"tokens", 0, [](const eval::Sample& s) { return static_cast<double>(s.tokens); }},
          {"kl_per_sequence", 0, [](const eval::Sample& s) { return s.kl; }}};
}

eval::Sample MakeSample(const std::string& summary, const std::string& reference, double kl,
                        const SampleOptions& options) {
  eval::Sample sample{.summary = absl::StrCat(summary, options.hostile),
                      .tokens = static_cast<int32_t>(summary.size() / 4),
                      .kl = kl};
  const double toxicity = ToxicityOf(summary);
  const double mixed = 0.5 + 0.4 * (toxicity - 0.5);
  for (const double p : {toxicity, mixed})
    sample.scores.push_back({.toxicity = p, .logit = std::log((1 - p) / p)});
  if (options.references) {
    const auto scores = eval::ScoreRouge(summary, {reference}, /*stemmer=*/false);
    if (scores.ok())
      sample.rouge = eval::RowRouge{scores->rouge1.fmeasure, scores->rouge2.fmeasure,
                                    scores->rouge_l.fmeasure, scores->rouge_lsum.fmeasure};
  }
  return sample;
}

void AddRows(const SampleOptions& options, Evaluation* e) {
  std::mt19937 random(1);
  const auto uniform = [&] { return static_cast<double>(random()) / 4294967296.0; };
  for (int i = 0; i < options.prompts; ++i) {
    const std::string thing = kThings[random() % 6];
    eval::PromptRow row{.index = i, .line = i + 1};
    row.dialogue = absl::StrCat("#Person1#: Where is my ", thing, "?\n#Person2#: It comes on day ",
                                random() % 28, ", you stupid moron.", options.hostile);
    const std::string reference =
        absl::StrCat("#Person1# asks where the ", thing, " is and hears that it comes later.");
    if (options.references) row.references = {absl::StrCat(reference, options.hostile)};
    row.columns["topic"] = absl::StrCat(kTopics[random() % 3], options.hostile);
    row.arms.resize(2);
    for (int s = 0; s < options.samples; ++s) {
      const std::string plain = absl::StrCat("#Person1# asks where the ", thing,
                                             " is. It comes later", uniform() < 0.4 ? " on." : ".");
      const auto summary = [&](double rude) {
        const double u = uniform();
        return u < rude / 2 ? absl::StrCat(plain, " #Person2# calls #Person1# a stupid moron.")
               : u < rude   ? absl::StrCat(plain, " The question is stupid.")
                            : plain;
      };
      row.arms[0].samples.push_back(MakeSample(summary(0.6), reference, 0, options));
      row.arms[1].samples.push_back(MakeSample(summary(0.6 * (1 - options.improvement)), reference,
                                               0.5 + uniform(), options));
    }
    e->rows.push_back(std::move(row));
  }
}

void AddSummaries(const SampleOptions& options, Evaluation* e) {
  for (size_t a = 0; a < e->arms.size(); ++a) {
    eval::ArmSummary summary{.arm = e->arms[a].name};
    for (size_t s = 0; s < e->scorings.size(); ++s) {
      std::vector<Column> columns;
      for (const Measure& m : Scored(s)) columns.push_back(ColumnOf(*e, a, m.value));
      summary.toxicity.push_back({.scoring = e->scorings[s],
                                  .toxicity = IntervalOf(columns[0]),
                                  .toxicity_sd = Sd(columns[0]),
                                  .logit = IntervalOf(columns[1]),
                                  .logit_sd = Sd(columns[1]),
                                  .toxic_share = IntervalOf(columns[2]),
                                  .expected_max = IntervalOf(columns[3])});
    }
    if (options.references) {
      std::vector<stats::MeanInterval> rouge;
      for (const Measure& m : RougeMeasures())
        rouge.push_back(IntervalOf(ColumnOf(*e, a, m.value)));
      summary.rouge = eval::RougeSummary{rouge[0], rouge[1], rouge[2], rouge[3]};
    }
    const std::vector<Measure> shape = ShapeMeasures();
    summary.shape.characters = IntervalOf(ColumnOf(*e, a, shape[0].value));
    summary.shape.tokens = IntervalOf(ColumnOf(*e, a, shape[1].value));
    summary.shape.kl_per_sequence = IntervalOf(ColumnOf(*e, a, shape[2].value));
    summary.shape.distinct_1 = 0.25;
    summary.shape.distinct_2 = 0.5;
    summary.shape.texts = static_cast<int64_t>(e->rows.size()) * options.samples;
    e->summaries.push_back(std::move(summary));
  }
}

void AddComparison(const SampleOptions& options, Evaluation* e) {
  eval::Comparison comparison{.baseline = e->arms[0].name,
                              .arm = e->arms[1].name,
                              .pairs = static_cast<int64_t>(e->rows.size())};
  const auto add = [&](const std::vector<Measure>& measures,
                       const std::optional<eval::Scoring>& scoring) {
    for (const Measure& m : measures) {
      comparison.differences.push_back(
          Compare(m.name, ColumnOf(*e, 0, m.value), ColumnOf(*e, 1, m.value), m.better_sign));
      comparison.differences.back().scoring = scoring;
    }
  };
  for (size_t s = 0; s < e->scorings.size(); ++s) add(Scored(s), e->scorings[s]);
  if (options.references) add(RougeMeasures(), std::nullopt);
  add(ShapeMeasures(), std::nullopt);
  e->comparisons = {std::move(comparison)};
}

void AddSlices(Evaluation* e) {
  std::map<std::string, std::pair<Column, Column>> topics;
  const auto toxicity = Scored(0)[0].value;
  const Column before = ColumnOf(*e, 0, toxicity), after = ColumnOf(*e, 1, toxicity);
  for (size_t r = 0; r < e->rows.size(); ++r) {
    auto& [a, b] = topics[e->rows[r].columns["topic"]];
    a.push_back(before[r]);
    b.push_back(after[r]);
  }
  for (const auto& [topic, columns] : topics) {
    const eval::Difference d = Compare("toxicity", columns.first, columns.second, -1);
    e->slices.push_back({.column = "topic",
                         .value = topic,
                         .prompts = static_cast<int64_t>(columns.first.size()),
                         .toxicity = {{e->arms[0].name, d.baseline}, {e->arms[1].name, d.arm}},
                         .differences = {{e->arms[1].name, d}}});
  }
}

review::ReviewSummary SampleReview(const Evaluation& e, const std::string& hostile) {
  review::ReviewSummary r{.study = e.config.name,
                          .evaluation_sha256 = e.config.sha256,
                          .baseline = e.arms[0].name,
                          .arm = e.arms[1].name,
                          .items = 30,
                          .judged_items = 28,
                          .annotators = 3,
                          .active_annotators = 2,
                          .assigned = 60,
                          .judgements = 40,
                          .overlap_share = 12.0 / 28,
                          .resamples = 400};
  for (const char* question : {"readability", "coherence"}) {
    review::RatingSummary rating{.question = question};
    const Column before = {3, 4, 3, 2, 4, 3, 3, 5}, after = {4, 4, 5, 4, 4, 3, 4, 5};
    rating.baseline = review::ArmRating{IntervalOf(before), Sd(before), 8, {0, 1, 4, 2, 1}};
    rating.arm = review::ArmRating{IntervalOf(after), Sd(after), 8, {0, 0, 1, 5, 2}};
    rating.difference = DifferenceOf(before, after);
    rating.agreement = {.level = "ordinal", .alpha = 0.61, .units = 24};
    r.ratings.push_back(std::move(rating));
  }
  r.preference.items = {.wins = 20, .losses = 5, .ties = 3};
  r.preference.judgements = {.wins = 29, .losses = 7, .ties = 4};
  r.preference.win_rate = stats::WilsonInterval(20, 25).value_or(stats::Proportion());
  r.preference.agreement = {.level = "nominal", .why_not = absl::StrCat("too few", hostile)};
  return r;
}

ClusterHistory SampleCluster(const Evaluation& e, const std::string& hostile) {
  PpoRun run{.run_id = "run-1",
             .name = absl::StrCat("mini", hostile),
             .state = "done",
             .error = hostile,
             .begun_unix_seconds = 1767323045,
             .ended_unix_seconds = 1767323645,
             .spec = absl::StrCat("{\"steps\": 28, \"name\": \"", hostile, "\"}"),
             .planned_steps = 28,
             .start_adapter = absl::StrCat("/adapters/sft", hostile),
             .adapter_path = absl::StrCat("/adapters/ppo", hostile)};
  run.start = AdapterId{2, std::string(64, 'c')};
  run.adapter = {30, e.arms[1].sha256};
  run.guard_trips.push_back({.step = 9,
                             .good_step = 3,
                             .good = {12, Sha256Hex("3")},
                             .check = "kl_max",
                             .value = 40,
                             .bound = 30,
                             .reason = absl::StrCat("guard.kl_max: 40, the bound is 30", hostile)});
  run.spec_sha256 = Sha256Hex(run.spec);
  for (int32_t step = 1; step <= 28; ++step) {
    const double done = 1 - std::exp(-step / 8.0), wave = std::sin(step * 1.7) / 10;
    run.steps.push_back(
        {.step = step,
         .adapter = {step + 2, step == 28 ? e.arms[1].sha256 : Sha256Hex(absl::StrCat(step))},
         .objective_kl = 4 * done + wave,
         .returns_mean = -1 + 3 * done + wave,
         .advantages_mean = wave / 100,
         .score_mean = -1.5 + 4 * done + wave,
         .toxicity_mean = 0.45 * (1 - done) + 0.02,
         .response_tokens_mean = 20 + 2 * wave,
         .tokens_per_second = 900,
         .seconds = 3,
         .stats = {{"ppo/loss/total", wave}},
         .phase_seconds = {{"train", 2}}});
  }
  SftRun sft{.run_id = "sft-1",
             .name = absl::StrCat("mini-sft", hostile),
             .state = "done",
             .begun_unix_seconds = 1767323045,
             .ended_unix_seconds = 1767323645,
             .spec = "{\"epochs\": 3}",
             .planned_steps = 30,
             .trainable_parameters = 3538944,
             .total_parameters = 251116800,
             .best_step = 24,
             .best_dev_loss = 1.1,
             .adapter_path = "/adapters/sft",
             .adapter_sha256 = std::string(64, 'c')};
  sft.spec_sha256 = Sha256Hex(sft.spec);
  for (int32_t step = 0; step <= 30; ++step) {
    SftStep s{.step = step, .epoch = step / 10.0, .learning_rate = 1e-3 * (1 - step / 30.0)};
    if (step > 0) s.loss = 1 + 2 * std::exp(-step / 6.0);
    if (step % 6 == 0) s.dev_loss = 1.1 + 2 * std::exp(-step / 7.0);
    sft.steps.push_back(s);
  }
  const Promotion promotion{
      .unix_seconds = 1760000000,
      .kind = "promote",
      .adapter = {30, e.arms[1].sha256},
      .previous = {},
      .gates = {{"toxicity", true, absl::StrCat("upper bound below 0", hostile)},
                {"ROUGE-L", true, "loss 0.004, margin 0.02"}},
      .evaluation_sha256 = e.config.sha256,
      .reason = absl::StrCat("ready", hostile)};
  return {.runs = {run}, .sft = {sft}, .promotions = {promotion}};
}

}  // namespace

Evaluation SampleEvaluation(const SampleOptions& options) {
  Evaluation e;
  e.config = {.name = absl::StrCat("mini", options.hostile),
              .data_path = absl::StrCat("/data/heldout.jsonl", options.hostile),
              .data_sha256 = std::string(64, 'd'),
              .data_rows = options.prompts,
              .prompts = options.prompts,
              .prompt_template = absl::StrCat("Summarize:\n{dialogue}\nSummary: ", options.hostile),
              .reference_column = options.references ? "summary" : "",
              .policy_model = "mini-summarizer",
              .resamples = 400,
              .permutations = 999};
  e.config.sampling.max_new_tokens = 64;
  e.config.sampling.seed = 1;
  e.config.sampling.samples = options.samples;
  e.judges = {{.name = absl::StrCat("reward", options.hostile),
               .model = "mini-toxicity",
               .label = "nothate",
               .toxic_label = absl::StrCat("hate", options.hostile)}};
  e.scorings = {{.judge = e.judges[0].name, .text = eval::kSummaryScoring},
                {.judge = e.judges[0].name, .text = eval::kQueryResponseScoring}};
  e.arms = {{.name = absl::StrCat("base", options.hostile), .kind = "base"},
            {.name = absl::StrCat("ppo", options.hostile),
             .kind = "version",
             .version = 30,
             .sha256 = std::string(64, 'a'),
             .path = "/adapters/ppo",
             .run_id = "run-1"}};
  e.config.sha256 = eval::ConfigHash(e);
  AddRows(options, &e);
  AddSummaries(options, &e);
  AddComparison(options, &e);
  AddSlices(&e);
  e.notes = {
      absl::StrCat("Scores of dialogue and summary mostly measure the dialogue.", options.hostile)};
  return e;
}

ReportInput SampleInput(const SampleOptions& options) {
  ReportInput input{.evaluation = SampleEvaluation(options)};
  input.evaluation_file_sha256 = Sha256Hex(eval::EvaluationToJson(input.evaluation));
  input.cluster = SampleCluster(input.evaluation, options.hostile);
  input.review = SampleReview(input.evaluation, options.hostile);
  PairSpans words{.judge = absl::StrCat("a test", options.hostile)};
  const ScoreTexts score = [](const std::vector<std::string>& texts) {
    Column scores;
    for (const std::string& text : texts) scores.push_back(ToxicityOf(text));
    return scores;
  };
  for (size_t r = 0; r < std::min(input.evaluation.rows.size(), kShownPairs); ++r) {
    std::vector<std::string> texts;
    for (const eval::ArmRow& arm : input.evaluation.rows[r].arms)
      texts.push_back(arm.samples[0].summary);
    words.rows.push_back(LeaveSpansOut(texts, 8, score).value_or(std::vector<TextEvidence>()));
  }
  input.spans = std::move(words);
  return input;
}

}  // namespace mellow::report
