#ifndef MELLOW_SERVICES_CLI_EVALUATE_DOCUMENT_TEXT_H_
#define MELLOW_SERVICES_CLI_EVALUATE_DOCUMENT_TEXT_H_

#include <string>
#include <vector>

#include "common/report/document.h"

namespace mellow::cli {

// Blocks of a report as a terminal shows them: the third writer of common/report/document.h, beside
// HTML and Markdown. Figures, texts as they are and pairs are left out, and so are the columns that
// are a page's only and the rows behind the twentieth of a table, which are counted.
[[nodiscard]] std::string DocumentText(const std::vector<report::Block>& blocks);

}  // namespace mellow::cli

#endif  // MELLOW_SERVICES_CLI_EVALUATE_DOCUMENT_TEXT_H_
