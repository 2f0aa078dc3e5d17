#include "tests/common/text/sentencepiece_library.h"

#include <sentencepiece_processor.h>

namespace mellow::testing {

std::vector<std::vector<int>> SentencePieceIds(const std::string& model_file,
                                               const std::vector<std::string>& texts) {
  sentencepiece::SentencePieceProcessor processor;
  if (!processor.Load(model_file).ok()) return {};
  std::vector<std::vector<int>> all;
  for (const std::string& text : texts) {
    std::vector<int> ids;
    if (!processor.Encode(text, &ids).ok()) return {};
    all.push_back(ids);
  }
  return all;
}

}  // namespace mellow::testing
