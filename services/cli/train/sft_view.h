#ifndef MELLOW_SERVICES_CLI_TRAIN_SFT_VIEW_H_
#define MELLOW_SERVICES_CLI_TRAIN_SFT_VIEW_H_

#include <cstdio>
#include <memory>
#include <string>

#include "mellow/learner/v1/sft.pb.h"

namespace mellow::cli {

// How supervised fine-tuning is shown on standard output.
class SftView {
 public:
  virtual ~SftView() = default;
  // First: what is trained on what.
  virtual void ShowStart(const learner::v1::SftRun& run) = 0;
  virtual void ShowStep(const learner::v1::SftStep& step) = 0;
  // Between steps; "" when there is nothing to say anymore.
  virtual void ShowActivity(const std::string& activity) = 0;
  // Every step is done.
  virtual void ShowDone(const learner::v1::SftRun& run) = 0;
};

// One JSON object per line: the run, every step, the end.
[[nodiscard]] std::unique_ptr<SftView> MakeSftJsonView(std::FILE* out);

// A table that fits 80 columns: a row for each measured dev loss, and about forty others.
// `live`: a terminal, whose last line shows the newest step and is overwritten. Else plain lines.
[[nodiscard]] std::unique_ptr<SftView> MakeSftTableView(std::FILE* out, bool live);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_SFT_VIEW_H_
