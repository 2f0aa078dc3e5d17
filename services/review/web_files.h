#ifndef MELLOW_SERVICES_REVIEW_WEB_FILES_H_
#define MELLOW_SERVICES_REVIEW_WEB_FILES_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace mellow::review {

// The files of web/ by name, as they were when the program was built.
[[nodiscard]] const std::map<std::string, absl::string_view>& WebFiles();

}  // namespace mellow::review

#endif  // MELLOW_SERVICES_REVIEW_WEB_FILES_H_
