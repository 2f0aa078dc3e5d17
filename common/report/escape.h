#ifndef MELLOW_COMMON_REPORT_ESCAPE_H_
#define MELLOW_COMMON_REPORT_ESCAPE_H_

// Texts that nobody vouches for (dialogues, summaries, names) as harmless text of a document.

#include <string>

#include "absl/strings/string_view.h"

namespace mellow::report {

// For the content of an element and for a quoted attribute value of HTML and of XML. Characters
// that XML does not allow, and bytes that are not UTF-8, become U+FFFD. Newlines stay.
[[nodiscard]] std::string EscapeHtml(absl::string_view text);

// Lines that end in newlines alone, with harmless characters as EscapeHtml has them, but no markup
// escaped: for code blocks.
[[nodiscard]] std::string PlainLines(absl::string_view text);

// One line of GitHub's Markdown, also inside a table cell: no markup, no HTML, no link, no mention,
// no list or heading comes of it. A newline becomes a space; the rest as EscapeHtml.
[[nodiscard]] std::string EscapeMarkdown(absl::string_view text);

}  // namespace mellow::report

#endif  // MELLOW_COMMON_REPORT_ESCAPE_H_
