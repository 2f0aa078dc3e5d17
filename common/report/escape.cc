#include "common/report/escape.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/text/unicode/utf8.h"

namespace mellow::report {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

// https://www.w3.org/TR/xml/#charsets, of valid code points.
bool AllowedInXml(char32_t c) {
  return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xFFFE && c != 0xFFFF);
}

std::string Sanitize(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const text::Utf8Char c = text::DecodeUtf8(text, i);
    const auto size = static_cast<size_t>(c.size);
    absl::StrAppend(&out,
                    c.valid && AllowedInXml(c.code_point) ? text.substr(i, size) : kReplacement);
    i += size;
  }
  return out;
}

}  // namespace

std::string PlainLines(absl::string_view text) {
  return absl::StrReplaceAll(Sanitize(text), {{"\r\n", "\n"}, {"\r", "\n"}});
}

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      Sanitize(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string EscapeMarkdown(absl::string_view text) {
  const std::string clean = Sanitize(text);
  const absl::string_view line = absl::StripAsciiWhitespace(clean);
  std::string out;
  // A number before '.' or ')' at the start would begin a list.
  const size_t digits = line.find_first_not_of("0123456789");
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '\n' || c == '\r' || c == '\t') {
      out += ' ';
    } else if (absl::string_view("\\`*_[]<>|#~!$^{}").find(c) != absl::string_view::npos) {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (i == 0 && (c == '-' || c == '+' || c == '=') && line.size() > 1 &&
               !absl::ascii_isdigit(line[1])) {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (i > 0 && i == digits && (c == '.' || c == ')') &&
               (i + 1 == line.size() || absl::ascii_isspace(line[i + 1]))) {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '@') {
      out += "&#64;";
    } else if (c == ':' && absl::string_view(line).substr(i).substr(0, 3) == "://") {
      out += "&#58;";
    } else if (c == '.' && i >= 3 && absl::EqualsIgnoreCase(line.substr(i - 3, 3), "www")) {
      out += "&#46;";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace mellow::report
