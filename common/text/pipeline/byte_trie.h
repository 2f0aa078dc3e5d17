#ifndef MELLOW_COMMON_TEXT_PIPELINE_BYTE_TRIE_H_
#define MELLOW_COMMON_TEXT_PIPELINE_BYTE_TRIE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow::text {

// An immutable map from byte strings to ids that finds all keys which begin at a place of a text.
// Thread-safe.
class ByteTrie {
 public:
  ByteTrie() : ByteTrie(std::vector<std::pair<std::string, int32_t>>{}) {}
  // Ids are not negative. Of equal keys the last one counts; the empty key is never found.
  explicit ByteTrie(std::vector<std::pair<std::string, int32_t>> entries);

  // Calls found(length, id) for every key that is a prefix of `text`, shortest first.
  template <typename Found>
  void ForEachPrefix(absl::string_view text, Found&& found) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(node, static_cast<uint8_t>(text[i]));
      if (node == 0) return;
      if (ids_[node] >= 0) found(i + 1, ids_[node]);
    }
  }

 private:
  // The child of `node` behind `label`; 0 (the root, nobody's child) if there is none.
  uint32_t Child(uint32_t node, uint8_t label) const {
    if (node == 0) return root_[label];
    const uint8_t* begin = labels_.data() + first_child_[node];
    const uint8_t* end = labels_.data() + first_child_[node + 1];
    const uint8_t* at = std::lower_bound(begin, end, label);
    return at != end && *at == label ? static_cast<uint32_t>(at - labels_.data()) : 0;
  }

  // Nodes are numbered breadth first, so the children of node n are first_child_[n] up to
  // first_child_[n + 1].
  std::vector<uint32_t> first_child_;
  std::vector<uint8_t> labels_;  // of the edge into the node
  std::vector<int32_t> ids_;     // -1: no key ends here
  std::vector<uint32_t> root_;   // [256]: every search begins there
};

}  // namespace mellow::text

#endif  // MELLOW_COMMON_TEXT_PIPELINE_BYTE_TRIE_H_
