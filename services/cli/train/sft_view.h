#ifndef MELLOW_SERVICES_CLI_TRAIN_SFT_VIEW_H_
#define MELLOW_SERVICES_CLI_TRAIN_SFT_VIEW_H_

#include <cstdio>
#include <memory>

#include "services/cli/train/train_view.h"

namespace mellow::cli {

// Supervised fine-tuning. One JSON object per line: the run, every step, the end.
[[nodiscard]] std::unique_ptr<TrainView> MakeSftJsonView(std::FILE* out);

// A table that fits 80 columns: a row for each measured dev loss, and about forty others.
// `live`: the last line shows the newest step. Else plain lines.
[[nodiscard]] std::unique_ptr<TrainView> MakeSftTableView(std::FILE* out, bool live);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_TRAIN_SFT_VIEW_H_
