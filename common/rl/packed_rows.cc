#include "common/rl/packed_rows.h"

#include "common/nn/torch/tensors.h"

namespace mellow::rl {

Rows ToRows(const at::Tensor& packed, const std::vector<int64_t>& lengths) {
  const std::vector<float> all = nn::ToVector(packed);
  Rows rows;
  auto begin = all.begin();
  for (const int64_t length : lengths) {
    rows.emplace_back(begin, begin + length);
    begin += length;
  }
  return rows;
}

at::Tensor FromRows(const Rows& rows, at::Device device) {
  std::vector<float> all;
  for (const std::vector<float>& row : rows) all.insert(all.end(), row.begin(), row.end());
  return nn::FloatTensor(all, device);
}

}  // namespace mellow::rl
