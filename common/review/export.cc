#include "common/review/export.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/json/value.h"

namespace mellow::review {
namespace {

json::Value Record(const ReviewedItem& reviewed, absl::Span<const StudyItem> texts) {
  const Verdicts verdicts = Unblind(reviewed.sheet, reviewed.arm_first);
  json::Value record = {
      {"annotator", reviewed.annotator},
      {"position", reviewed.position},
      {"item", reviewed.item},
      {"row", reviewed.row},
      {"shared", reviewed.shared},
      {"first", reviewed.arm_first ? "arm" : "baseline"},
      {"readability_baseline", verdicts.readability_baseline},
      {"readability_arm", verdicts.readability_arm},
      {"coherence_baseline", verdicts.coherence_baseline},
      {"coherence_arm", verdicts.coherence_arm},
      {"preference", verdicts.preference.has_value()
                         ? json::Value(PreferenceName(*verdicts.preference))
                         : json::Value()},
      {"more_offensive", verdicts.more_offensive.has_value()
                             ? json::Value(OffenseName(*verdicts.more_offensive))
                             : json::Value()},
      {"complete", reviewed.complete()},
      {"saved", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", reviewed.saved, absl::UTCTimeZone())}};
  if (!texts.empty()) {
    const StudyItem& item = texts[static_cast<size_t>(reviewed.item)];
    record.Add("dialogue", item.dialogue);
    record.Add("summary_baseline", item.baseline);
    record.Add("summary_arm", item.arm);
  }
  return record;
}

std::string CsvCell(const json::Value& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return json::Write(value);
  std::string text = value.string();
  // An apostrophe makes text of what a spreadsheet would run as a formula.
  if (!text.empty() && absl::string_view("=+-@\t\r").find(text[0]) != absl::string_view::npos)
    text.insert(text.begin(), '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string CsvLine(const json::Value& record, bool names) {
  std::vector<std::string> cells;
  for (const auto& [name, value] : record.members()) cells.push_back(names ? name : CsvCell(value));
  return absl::StrJoin(cells, ",") + "\r\n";
}

}  // namespace

std::string ExportCsv(absl::Span<const ReviewedItem> reviewed, absl::Span<const StudyItem> texts) {
  // The header stands there also when nobody has answered.
  std::string out =
      CsvLine(Record(ReviewedItem(), texts.empty() ? texts : texts.subspan(0, 1)), /*names=*/true);
  for (const ReviewedItem& one : reviewed) out += CsvLine(Record(one, texts), /*names=*/false);
  return out;
}

std::string ExportJsonLines(absl::Span<const ReviewedItem> reviewed,
                            absl::Span<const StudyItem> texts) {
  std::string out;
  for (const ReviewedItem& one : reviewed)
    absl::StrAppend(&out, json::Write(Record(one, texts)), "\n");
  return out;
}

}  // namespace mellow::review
