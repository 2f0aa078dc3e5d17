#ifndef MELLOW_COMMON_BASE_NEAREST_NAME_H_
#define MELLOW_COMMON_BASE_NEAREST_NAME_H_

// What somebody may have meant who wrote a name that does not exist.

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace mellow {

// How many characters must be put in, left out or replaced, or neighbors exchanged, to make one
// name of the other (optimal string alignment; Boytsov, "Indexing methods for approximate
// dictionary searching", 2011, section 2.1). Letters count as equal in either case, - as _.
[[nodiscard]] int EditDistance(absl::string_view a, absl::string_view b);

// The nearest of `known`, of equal ones the first; empty where none is near: more than a third of
// the name, and more than one character, would have to change.
[[nodiscard]] std::string NearestName(absl::string_view name,
                                      const std::vector<std::string>& known);

// ` (did you mean "NEAREST"?)`, for the end of an error; empty where none is near.
[[nodiscard]] std::string DidYouMean(absl::string_view name, const std::vector<std::string>& known);

}  // namespace mellow

#endif  // MELLOW_COMMON_BASE_NEAREST_NAME_H_
