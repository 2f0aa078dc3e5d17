#ifndef MELLOW_COMMON_REPORT_MARKDOWN_H_
#define MELLOW_COMMON_REPORT_MARKDOWN_H_

#include <string>

#include "common/report/document.h"

namespace mellow::report {

// GitHub's Markdown. Texts are escaped, charts are lines of text; toxic words are bold.
[[nodiscard]] std::string ToMarkdown(const Document& document);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_MARKDOWN_H_
