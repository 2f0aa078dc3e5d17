#ifndef MELLOW_SERVICES_CLI_TRAIN_TRAIN_VIEW_H_
#define MELLOW_SERVICES_CLI_TRAIN_TRAIN_VIEW_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "mellow/orchestrator/v1/orchestrator.pb.h"

namespace mellow::cli {

// How the steps of a run are shown on standard output.
class TrainView {
 public:
  virtual ~TrainView() = default;
  virtual void ShowStep(const orchestrator::v1::Step& step) = 0;
  // What the run trains on, in lines with their ends. Once, before the first step.
  virtual void ShowData(const std::string& lines) = 0;
  // How much of the model it trains, the value head included.
  virtual void ShowParameters(int64_t trainable, int64_t all) = 0;
  // Between steps; "" when there is nothing to say anymore.
  virtual void ShowActivity(const std::string& activity) = 0;
  // Every step is committed.
  virtual void ShowDone(const orchestrator::v1::Run& run) = 0;
};

// One JSON object per line, for scripts.
[[nodiscard]] std::unique_ptr<TrainView> MakeJsonView(std::FILE* out);

// A table that fits 80 columns. `live`: a terminal, whose last line shows the activity and is
// overwritten; the header comes again with every screenful. Else plain lines.
[[nodiscard]] std::unique_ptr<TrainView> MakeTableView(std::FILE* out, int steps, bool live);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_TRAIN_VIEW_H_
