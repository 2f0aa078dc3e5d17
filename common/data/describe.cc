#include "common/data/describe.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "common/text/unicode/utf8.h"

namespace mellow::data {
namespace {

bool IsEmpty(const Row& row, size_t column) {
  return absl::StripAsciiWhitespace(row.values[column]).empty();
}

}  // namespace

std::vector<int> EmptyRows(const Dataset& dataset, size_t column) {
  std::vector<int> lines;
  for (const Row& row : dataset.rows()) {
    if (IsEmpty(row, column)) lines.push_back(row.line);
  }
  return lines;
}

std::vector<Duplicate> DuplicateRows(const Dataset& dataset, size_t column) {
  absl::flat_hash_map<absl::string_view, int> first_lines;
  std::vector<Duplicate> duplicates;
  for (const Row& row : dataset.rows()) {
    if (IsEmpty(row, column)) continue;
    const auto [place, fresh] = first_lines.emplace(row.values[column], row.line);
    if (!fresh) duplicates.push_back({row.line, place->second});
  }
  return duplicates;
}

std::vector<double> CharacterLengths(const Dataset& dataset, size_t column) {
  std::vector<double> lengths;
  for (const Row& row : dataset.rows())
    lengths.push_back(static_cast<double>(text::CountCodePoints(row.values[column])));
  return lengths;
}

}  // namespace mellow::data
