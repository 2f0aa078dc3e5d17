#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/data/row_parser.h"
#include "nlohmann/json.hpp"

namespace mellow::data {
namespace {

using Json = nlohmann::ordered_json;

// The text of a scalar; none of null, lists and objects.
std::optional<std::string> ScalarText(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

// `columns`, if empty, become those of this row.
absl::StatusOr<Row> ParseRow(absl::string_view line, int number,
                             std::vector<std::string>* columns) {
  const Json json = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(number, ": not a JSON object in UTF-8"));
  }
  if (columns->empty()) {
    for (const auto& [name, value] : json.items()) {
      if (ScalarText(value).has_value()) columns->push_back(name);
    }
  }
  Row row{.line = number};
  for (const std::string& column : *columns) {
    const auto field = json.find(column);
    std::optional<std::string> text;
    if (field != json.end()) text = ScalarText(*field);
    if (!text.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat(number, ": ", column,
                       field == json.end() ? " is missing" : " is no text, number or truth value"));
    }
    row.values.push_back(*std::move(text));
  }
  return row;
}

}  // namespace

absl::Status ParseJsonl(absl::string_view text, const OnBadRow& on_bad_row,
                        std::vector<std::string>* columns, std::vector<Row>* rows) {
  for (int number = 1; !text.empty(); ++number) {
    const absl::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == absl::string_view::npos) continue;
    absl::StatusOr<Row> row = ParseRow(line, number, columns);
    if (row.ok()) {
      rows->push_back(*std::move(row));
    } else {
      MELLOW_RETURN_IF_ERROR(on_bad_row(row.status()));
    }
  }
  return absl::OkStatus();
}

}  // namespace mellow::data
