#ifndef MELLOW_TESTS_SERVICES_LEARNER_SFT_FIXTURE_H_
#define MELLOW_TESTS_SERVICES_LEARNER_SFT_FIXTURE_H_

#include <fstream>
#include <string>

#include "services/learner/sft/sft_session.h"
#include "tests/testing/source_tree.h"

namespace mellow::learner {

// The model that ships: these tests need a tokenizer.
inline const std::string kSftModel = mellow::SourceTree("/deploy/models/mini-summarizer");

// Twelve short pairs.
inline void WritePairs(const std::string& path) {
  std::ofstream file(path);
  const char* const things[] = {"parcel", "train", "refund", "key"};
  const char* const days[] = {"Monday", "Tuesday", "Friday"};
  for (const char* thing : things) {
    for (const char* day : days) {
      file << R"({"dialogue": "#Person1#: Where is the )" << thing
           << R"(?\n#Person2#: It comes on )" << day << R"(.", "summary": "The )" << thing
           << " comes on " << day << R"(."})"
           << "\n";
    }
  }
}

// Ten pairs to train on, two to measure; four steps per epoch, eight in all; dropout at work.
inline SftPlan MakePlan(const std::string& data) {
  SftPlan plan;
  plan.data.path = data;
  plan.data.prompt_template = "Summarize: {dialogue}";
  plan.data.dev_fraction = 0.2;
  plan.trainer.seed = 3;
  plan.trainer.lora = {.r = 2, .lora_alpha = 4, .lora_dropout = 0.1, .target_modules = {"q", "v"}};
  plan.trainer.learning_rate = 5e-3;
  plan.trainer.batch_size = 2;
  plan.trainer.model_dropout = 0.1;
  plan.gradient_accumulation_steps = 2;
  plan.epochs = 2;
  plan.eval_every = 2;
  plan.checkpoint_every = 2;
  return plan;
}

}  // namespace mellow::learner

#endif  // MELLOW_TESTS_SERVICES_LEARNER_SFT_FIXTURE_H_
