#include "services/orchestrator/rollouts/request_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/orchestrator/orchestrator_fixture.h"

namespace mellow::orchestrator {
namespace {

std::vector<Prompt> MakePrompts(int count, int tokens) {
  std::vector<Prompt> prompts;
  for (int i = 0; i < count; ++i) {
    prompts.push_back({.prompt_index = static_cast<uint64_t>(i),
                       .ids = std::vector<int32_t>(static_cast<size_t>(tokens), 'x' + 3)});
  }
  return prompts;
}

TEST(RequestBytesTest, GrowWithTheShardTheStepAndTheResponses) {
  RunConfig config = MakeRunConfig(1);  // shards of 4
  config.sampling.max_new_tokens = 100;
  const FakeTokenizer tokenizer;
  const auto of = [&](const std::vector<Prompt>& prompts) {
    const auto bytes = LargestRequests(config, tokenizer, 0, prompts);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return bytes.value_or(RequestBytes());
  };
  const RequestBytes one = of(MakePrompts(1, 1000));
  EXPECT_GE(one.prompts, 1000);
  EXPECT_LE(one.prompts, 1100);
  EXPECT_GE(one.texts, 1000);
  EXPECT_LE(one.texts, 1100);
  EXPECT_GE(one.step, 1000 + 100 * 15);
  EXPECT_LE(one.step, 1000 + 100 * 15 + 400);
  const RequestBytes many = of(MakePrompts(10, 1000));
  EXPECT_EQ(many.prompts, 4 * one.prompts);
  EXPECT_EQ(many.texts, 4 * one.texts);
  EXPECT_EQ(many.step, 10 * one.step);
  // The largest shard counts, wherever it is.
  std::vector<Prompt> mixed = MakePrompts(8, 10);
  for (size_t i = 0; i < 4; ++i) mixed[i].ids = MakePrompts(1, 1000)[0].ids;
  EXPECT_EQ(of(mixed).prompts, many.prompts);
  // Ids of a large vocabulary are longer.
  mixed[0].ids.assign(1000, 30000);
  EXPECT_EQ(of(mixed).prompts, many.prompts + 2 * 1000);
  config.sampling.max_new_tokens = 200;
  EXPECT_EQ(of(MakePrompts(10, 1000)).step, many.step + 10 * 100 * 15);
}

}  // namespace
}  // namespace mellow::orchestrator
