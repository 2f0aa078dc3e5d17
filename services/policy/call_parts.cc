#include "services/policy/call_parts.h"

#include "absl/strings/str_cat.h"

namespace mellow::policy {

absl::Status CallParts::CheckIds(absl::Span<const int32_t> ids, absl::string_view field) const {
  for (int32_t id : ids) {
    if (id < 0 || id >= model->config().vocab_size)
      return absl::InvalidArgumentError(absl::StrCat(
          field, " has ", id, ": outside the vocabulary of ", model->config().vocab_size));
  }
  return absl::OkStatus();
}

}  // namespace mellow::policy
