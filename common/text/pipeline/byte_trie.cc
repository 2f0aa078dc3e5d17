#include "common/text/pipeline/byte_trie.h"

namespace mellow::text {

ByteTrie::ByteTrie(std::vector<std::pair<std::string, int32_t>> entries) : root_(256, 0) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // The keys of a node are the run [begin, end) of the sorted entries that share its first `depth`
  // bytes.
  struct Run {
    size_t begin, end, depth;
  };
  std::vector<Run> runs = {{0, entries.size(), 0}};
  labels_.push_back(0);
  for (size_t node = 0; node < runs.size(); ++node) {
    const auto [begin, end, depth] = runs[node];
    first_child_.push_back(static_cast<uint32_t>(runs.size()));
    int32_t id = -1;
    size_t i = begin;
    for (; i < end && entries[i].first.size() == depth; ++i) id = entries[i].second;
    ids_.push_back(depth == 0 ? -1 : id);
    while (i < end) {
      const uint8_t label = entries[i].first[depth];
      size_t next = i;
      while (next < end && static_cast<uint8_t>(entries[next].first[depth]) == label) ++next;
      if (node == 0) root_[label] = static_cast<uint32_t>(runs.size());
      labels_.push_back(label);
      runs.push_back({i, next, depth + 1});
      i = next;
    }
  }
  first_child_.push_back(static_cast<uint32_t>(runs.size()));
}

}  // namespace mellow::text
