#include "common/text/pipeline/decoder.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/text/pipeline/byte_level.h"
#include "common/text/unicode/utf8.h"

namespace mellow::text {
namespace {

using Tokens = std::vector<std::string>;

Tokens Apply(const MetaspaceDecoder& decoder, Tokens tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const char* space = i == 0 && decoder.drop_first ? "" : " ";
    tokens[i] = absl::StrReplaceAll(tokens[i], {{decoder.replacement, space}});
  }
  return tokens;
}

Tokens Apply(const ByteLevelDecoder&, Tokens tokens) {
  return {ReplaceInvalidUtf8(BytesOfTokens({tokens.begin(), tokens.end()}))};
}

Tokens Apply(const ByteFallbackDecoder&, Tokens tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (FirstInvalidUtf8(bytes) == absl::string_view::npos) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\uFFFD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    uint32_t byte = 0;
    if (token.size() == 6 && absl::StartsWith(token, "<0x") && token.back() == '>' &&
        absl::SimpleHexAtoi(token.substr(3, 2), &byte)) {
      bytes += static_cast<char>(byte);
      continue;
    }
    flush();
    out.push_back(std::move(token));
  }
  flush();
  return out;
}

Tokens Apply(const FuseDecoder&, Tokens tokens) { return {absl::StrJoin(tokens, "")}; }

}  // namespace

std::string Decoder::Decode(const std::vector<absl::string_view>& tokens) const {
  if (steps_.empty()) return absl::StrJoin(tokens, " ");
  Tokens texts(tokens.begin(), tokens.end());
  for (const Step& step : steps_) {
    texts = std::visit([&](const auto& s) { return Apply(s, std::move(texts)); }, step);
  }
  return absl::StrJoin(texts, "");
}

}  // namespace mellow::text
