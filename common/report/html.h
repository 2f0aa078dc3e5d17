#ifndef MELLOW_COMMON_REPORT_HTML_H_
#define MELLOW_COMMON_REPORT_HTML_H_

#include <string>

#include "common/report/document.h"

namespace mellow::report {

// One HTML page with everything in it, under a content security policy that lets nothing run and
// nothing be fetched. All texts are escaped; only Figure::svg goes in as it is.
[[nodiscard]] std::string ToHtml(const Document& document);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_HTML_H_
