#include "common/nn/generation/beam_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/base/philox.h"
#include "common/nn/generation/generate.h"
#include "tests/common/nn/generation/tree_model.h"

namespace mellow::nn {
namespace beam_search_test {

using mellow::testing::TreeModel;
using ::testing::ElementsAre;
using Prefix = TreeModel::Prefix;

constexpr int32_t kEos = 1;
constexpr int kVocab = 4;

// A tree whose every node has its own random distribution.
TreeModel RandomTree(uint32_t seed) {
  return TreeModel(kVocab, [seed](const Prefix& prefix) {
    uint32_t node = 1;
    for (int32_t token : prefix) node = node * kVocab + static_cast<uint32_t>(token);
    std::vector<float> x;
    for (uint32_t i = 0; i < kVocab; ++i)
      x.push_back(static_cast<float>(6 * PhiloxUniform({i, node, seed, 0}, {1, 2}) - 3));
    return x;
  });
}

struct Best {
  double score = -std::numeric_limits<double>::infinity();
  Prefix ids;
};

// The best of all sequences that end with </s> or at the longest length.
void Enumerate(const TreeModel& model, const SamplingParams& params, const Prefix& prefix,
               double sum, Best* best) {
  const std::vector<float> logprobs = model.LogProbs(prefix);
  for (int32_t token = 0; token < kVocab; ++token) {
    if (token == kEos && static_cast<int>(prefix.size()) < params.min_new_tokens) continue;
    Prefix ids = prefix;
    ids.push_back(token);
    const double total = sum + logprobs[static_cast<size_t>(token)];
    if (token == kEos || static_cast<int>(ids.size()) == params.max_new_tokens) {
      const double score = total / std::pow(ids.size(), params.length_penalty);
      if (score > best->score) *best = {score, ids};
    } else {
      Enumerate(model, params, ids, total, best);
    }
  }
}

GeneratedSequence Search(TreeModel* model, const SamplingParams& params) {
  const std::vector<GenerateItem> items = {{.source_ids = {0}, .params = params}};
  const auto sequences = Generate(*model, items);
  EXPECT_TRUE(sequences.ok()) << sequences.status();
  return sequences.ok() ? (*sequences)[0] : GeneratedSequence();
}

// With at least as many beams as there are prefixes nothing is pruned: the result is the best of
// all.
TEST(BeamSearchTest, WideEnoughBeamFindsTheBestOfAllSequences) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    for (double length_penalty : {-1.0, 0.0, 0.6, 1.0, 2.0}) {
      for (int min_new_tokens : {0, 2}) {
        TreeModel model = RandomTree(seed);
        const SamplingParams params{.num_beams = 64,
                                    .length_penalty = length_penalty,
                                    .max_new_tokens = 4,
                                    .min_new_tokens = min_new_tokens};
        Best best;
        Enumerate(model, params, {}, 0, &best);
        EXPECT_EQ(Search(&model, params).ids, best.ids)
            << "seed " << seed << ", length_penalty " << length_penalty << ", min_new_tokens "
            << min_new_tokens;
      }
    }
  }
}

TEST(BeamSearchTest, LogProbsAreThoseOfTheReturnedPath) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    TreeModel model = RandomTree(seed);
    const GeneratedSequence found = Search(&model, {.num_beams = 3, .max_new_tokens = 5});
    ASSERT_EQ(found.logprobs.size(), found.ids.size());
    Prefix prefix;
    for (size_t i = 0; i < found.ids.size(); ++i) {
      EXPECT_NEAR(found.logprobs[i], model.LogProbs(prefix)[static_cast<size_t>(found.ids[i])],
                  1e-5);  // fp32 rounding
      prefix.push_back(found.ids[i]);
    }
    EXPECT_EQ(found.finish == FinishReason::kEos, found.ids.back() == kEos);
  }
}

// Logits whose softmax are the given probabilities.
std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> x;
  for (double p : probabilities) x.push_back(static_cast<float>(std::log(p)));
  return x;
}

// Greedy takes 2 (0.5) and then can only be unlucky; the best sequence begins with 3.
TreeModel GardenPath() {
  return TreeModel(kVocab, [](const Prefix& prefix) {
    if (prefix.empty()) return Logs({0.05, 0.05, 0.5, 0.4});
    if (prefix[0] == 2) return Logs({0.25, 0.25, 0.25, 0.25});
    return Logs({0.01, 0.97, 0.01, 0.01});
  });
}

TEST(BeamSearchTest, TwoBeamsLeaveTheGardenPath) {
  TreeModel greedy = GardenPath();
  EXPECT_EQ(Search(&greedy, {.max_new_tokens = 2}).ids[0], 2);
  TreeModel model = GardenPath();
  EXPECT_THAT(Search(&model, {.num_beams = 2, .max_new_tokens = 2}).ids, ElementsAre(3, kEos));
}

// At every step </s> has 0.5 and token 2 has 0.5 (nearly): all lengths cost log 2 per token.
TreeModel CoinTosses() {
  return TreeModel(kVocab, [](const Prefix& prefix) {
    // The later, the likelier to go on: the average of the longer sequence is better.
    const double stop = 0.5 / static_cast<double>(1 + prefix.size());
    return Logs({1e-6, stop, 1 - stop - 2e-6, 1e-6});
  });
}

TEST(BeamSearchTest, LengthPenaltyDecidesBetweenShortAndLong) {
  TreeModel shorter = CoinTosses();
  EXPECT_THAT(Search(&shorter, {.num_beams = 2, .length_penalty = -4, .max_new_tokens = 5}).ids,
              ElementsAre(kEos));
  TreeModel longer = CoinTosses();
  EXPECT_THAT(Search(&longer, {.num_beams = 2, .length_penalty = 4, .max_new_tokens = 5}).ids,
              ElementsAre(2, 2, 2, 2, 2));
}

// A tree on which </s> is among the best two from the first step on.
TreeModel EarlyEnd() {
  return TreeModel(kVocab, [](const Prefix& prefix) {
    if (prefix.size() < 2) return Logs({0.05, 0.3, 0.6, 0.05});
    return Logs({0.001, 0.001, 0.997, 0.001});
  });
}

TEST(BeamSearchTest, EarlyStoppingEndsWithTheFirstFullSetOfHypotheses) {
  TreeModel early = EarlyEnd();
  const GeneratedSequence stopped =
      Search(&early, {.num_beams = 2, .early_stopping = EarlyStopping::kTrue, .max_new_tokens = 8});
  EXPECT_EQ(stopped.finish, FinishReason::kEos);
  EXPECT_EQ(early.steps().size(), 2u);
  TreeModel patient = EarlyEnd();
  const GeneratedSequence best = Search(&patient, {.num_beams = 2, .max_new_tokens = 8});
  EXPECT_GT(patient.steps().size(), 2u);  // a running beam could still win
  EXPECT_EQ(best.ids.size(), 8u);
  EXPECT_EQ(best.finish, FinishReason::kLength);
}

TEST(BeamSearchTest, StepsOneRowFirstAndNumBeamsAfter) {
  TreeModel model(kVocab, [](const Prefix&) { return Logs({0.3, 1e-9, 0.4, 0.3 - 1e-9}); });
  (void)Search(&model, {.num_beams = 3, .max_new_tokens = 4});
  EXPECT_THAT(model.steps(), ElementsAre(1, 3, 3, 3));
}

// A row with one continuation moves; only further continuations are copies.
TEST(BeamSearchTest, ForksOnlyWhenABeamContinuesTwice) {
  TreeModel model(kVocab, [](const Prefix& prefix) {
    if (prefix.empty()) return Logs({0.5 - 2e-9, 1e-9, 0.5, 1e-9});
    return Logs({1e-9, 1e-9, 1 - 3e-9, 1e-9});
  });
  (void)Search(&model, {.num_beams = 2, .max_new_tokens = 6});
  EXPECT_EQ(model.forks(), 1);
}

TEST(BeamSearchTest, MoreBeamsThanTokensWork) {
  TreeModel model = RandomTree(3);
  const GeneratedSequence found = Search(&model, {.num_beams = 10, .max_new_tokens = 1});
  EXPECT_EQ(found.ids.size(), 1u);
}

}  // namespace beam_search_test
}  // namespace mellow::nn
