#include "common/sft/parameter_counts.h"

#include "common/sft/sft_trainer.h"
#include "gtest/gtest.h"
#include "tests/testing/source_tree.h"

namespace mellow::sft {
namespace {

nn::T5Config FlanT5Base() {
  nn::T5Config c;
  c.vocab_size = 32128;
  c.d_model = 768;
  c.d_kv = 64;
  c.d_ff = 2048;
  c.num_layers = c.num_decoder_layers = 12;
  c.num_heads = 12;
  c.gated = true;
  c.tie_word_embeddings = false;
  return c;
}

// What PEFT prints in the notebook: trainable params: 3538944, all params: 251116800,
// trainable%: 1.41.
TEST(ParameterCountsTest, FlanT5BaseWithTheNotebooksAdapter) {
  const auto counts =
      CountParameters(FlanT5Base(), {.r = 32, .lora_alpha = 32, .target_modules = {"q", "v"}});
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->trainable, 3538944);
  EXPECT_EQ(counts->total, 251116800);
}

TEST(ParameterCountsTest, AgreesWithTheLoadedModels) {
  for (const char* folder :
       {"/tests/parity/golden/ppo/gated", "/tests/parity/golden/ppo/tied",
        "/tests/parity/golden/families/umt5", "/tests/parity/golden/families/t5-5-head",
        "/deploy/models/mini-summarizer"}) {
    for (const std::vector<std::string>& targets :
         {std::vector<std::string>{"q", "v"},
          {"EncDecAttention.k"},
          {"q", "k", "v", "o", "wo", "SelfAttention.q"}}) {
      SftConfig config;
      config.total_steps = 1;
      config.lora = {.r = 3, .lora_alpha = 3, .target_modules = targets};
      const auto trainer =
          SftTrainer::Create(mellow::SourceTree(folder), config, std::nullopt, {.threads = 1});
      ASSERT_TRUE(trainer.ok()) << trainer.status();
      const auto counts = CountParameters((*trainer)->model_config(), config.lora);
      ASSERT_TRUE(counts.ok()) << counts.status();
      EXPECT_EQ(counts->trainable, (*trainer)->trainable_parameters()) << folder;
      EXPECT_EQ(counts->total, (*trainer)->total_parameters()) << folder;
    }
  }
}

TEST(ParameterCountsTest, ATargetThatNamesNothingIsNamed) {
  const auto counts = CountParameters(FlanT5Base(), {.target_modules = {"q", "query"}});
  EXPECT_TRUE(absl::IsInvalidArgument(counts.status()));
  EXPECT_NE(counts.status().message().find("query"), std::string::npos);
}

}  // namespace
}  // namespace mellow::sft
