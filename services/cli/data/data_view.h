#ifndef MELLOW_SERVICES_CLI_DATA_DATA_VIEW_H_
#define MELLOW_SERVICES_CLI_DATA_DATA_VIEW_H_

// How a description of a data set is shown.

#include "services/cli/data/data_description.h"
#include "services/cli/terminal/json_lines.h"

namespace mellow::cli {

// To standard output, for people: counts, histograms, examples.
void PrintDescription(const DescribeOptions& options, const Description& description);

// The same as one object, every line number in it.
[[nodiscard]] json::Value DescriptionJson(const DescribeOptions& options,
                                          const Description& description);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_DATA_DATA_VIEW_H_
