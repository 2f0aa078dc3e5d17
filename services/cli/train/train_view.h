#ifndef MELLOW_SERVICES_CLI_TRAIN_TRAIN_VIEW_H_
#define MELLOW_SERVICES_CLI_TRAIN_TRAIN_VIEW_H_

#include <cstdio>
#include <memory>
#include <string>

#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::cli {

// How a run is shown on standard output.
class TrainView {
 public:
  virtual ~TrainView() = default;
  // What the run trains on, in lines with their ends. Once, before the first step.
  virtual void ShowData(const std::string& lines) = 0;
  // The learner has opened the run: how much of the model it trains. Once, before the first step.
  virtual void ShowStart(const orchestrator::v1::Run& run) = 0;
  virtual void ShowStep(const orchestrator::v1::Step& step) = 0;
  // Between steps; "" when there is nothing to say anymore.
  virtual void ShowActivity(const std::string& activity) = 0;
  // Every step is committed.
  virtual void ShowDone(const orchestrator::v1::Run& run) = 0;
};

// The view of a run's method. `json`: one object per line; else a table. `live`: a terminal, whose
// last line is overwritten.
[[nodiscard]] std::unique_ptr<TrainView> MakeTrainView(const orchestrator::v1::RunSpec& spec,
                                                       std::FILE* out, bool json, bool live);

// PPO. One JSON object per line, for scripts.
[[nodiscard]] std::unique_ptr<TrainView> MakeJsonView(std::FILE* out);

// A table that fits 80 columns. `live`: the last line shows the activity; the header comes again
// with every screenful. Else plain lines.
[[nodiscard]] std::unique_ptr<TrainView> MakeTableView(std::FILE* out, int steps, bool live);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_TRAIN_VIEW_H_
