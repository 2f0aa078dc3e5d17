#ifndef MELLOW_TESTS_COMMON_TEXT_TOKENIZER_FILES_H_
#define MELLOW_TESTS_COMMON_TEXT_TOKENIZER_FILES_H_

// Writes small tokenizer files, so that the tests depend on no model.

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace mellow::text {

inline std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string VarintField(int number, uint64_t value) {
  return Varint(number << 3) + Varint(value);
}
inline std::string BytesField(int number, const std::string& bytes) {
  return Varint(number << 3 | 2) + Varint(bytes.size()) + bytes;
}
inline std::string FloatField(int number, float value) {
  std::string out = Varint(number << 3 | 5);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(std::bit_cast<uint32_t>(value) >> (8 * i));
  return out;
}

// The types of sentencepiece.ModelProto.SentencePiece.
enum PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };

inline std::string SpmPiece(const std::string& text, float score, PieceType type = kNormal) {
  return BytesField(1, BytesField(1, text) + FloatField(2, score) + VarintField(3, type));
}

// The bytes of spiece.model: <pad> 0, </s> 1, <unk> 2, then `pieces` from id 3.
inline std::string SpmFile(const std::vector<std::pair<std::string, float>>& pieces,
                           const std::string& charsmap = "") {
  std::string file = SpmPiece("<pad>", 0, kControl) + SpmPiece("</s>", 0, kControl) +
                     SpmPiece("<unk>", 0, kUnknown);
  for (const auto& [text, score] : pieces) file += SpmPiece(text, score);
  return file + BytesField(2, VarintField(3, 1)) + BytesField(3, BytesField(2, charsmap));
}

// A precompiled_charsmap: a Darts double array, made the simple way (256 units per node), and the
// images.
inline std::string CharsmapBlob(const std::vector<std::pair<std::string, std::string>>& map) {
  struct Node {
    std::vector<std::pair<uint8_t, size_t>> children;
    int64_t value = -1;
  };
  std::vector<Node> nodes(1);
  std::string images;
  for (const auto& [key, image] : map) {
    size_t node = 0;
    for (const char c : key) {
      size_t next = 0;
      for (const auto& [label, child] : nodes[node].children) {
        if (label == static_cast<uint8_t>(c)) next = child;
      }
      if (next == 0) {
        next = nodes.size();
        nodes[node].children.emplace_back(static_cast<uint8_t>(c), next);
        nodes.emplace_back();
      }
      node = next;
    }
    nodes[node].value = static_cast<int64_t>(images.size());
    images += image + '\0';
  }
  // Node n keeps its children at units 256 * (n + 1) + label; label 0 is its own value.
  std::vector<uint32_t> units(256 * (nodes.size() + 1), 0);
  const auto fill = [&](size_t unit, size_t node, uint8_t label) {
    const uint32_t offset = static_cast<uint32_t>(unit ^ (256 * (node + 1)));
    units[unit] = offset << 10 | (nodes[node].value >= 0 ? 1u << 8 : 0) | label;
  };
  fill(0, 0, 0);
  for (size_t n = 0; n < nodes.size(); ++n) {
    const size_t base = 256 * (n + 1);
    if (nodes[n].value >= 0) units[base] = 1u << 31 | static_cast<uint32_t>(nodes[n].value);
    for (const auto& [label, child] : nodes[n].children) fill(base + label, child, label);
  }
  std::string blob;
  const auto append = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i) blob += static_cast<char>(value >> (8 * i));
  };
  append(static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) append(unit);
  return blob + images;
}

// A folder of the running test with the given files, empty before.
inline std::string MakeFolder(const std::vector<std::pair<std::string, std::string>>& files) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string folder =
      absl::StrCat(testing::TempDir(), "mellow_text_", test->test_suite_name(), "_", test->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : files) {
    std::ofstream(folder + "/" + name, std::ios::binary) << bytes;
  }
  return folder;
}

}  // namespace mellow::text

#endif  // MELLOW_TESTS_COMMON_TEXT_TOKENIZER_FILES_H_
