#include "common/sync/file_watch.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace mellow {

FileWatch::FileWatch(std::vector<std::string> paths, absl::Duration period,
                     std::function<void()> changed)
    : paths_(std::move(paths)), period_(period), changed_(std::move(changed)) {
  thread_ = std::jthread([this, first = Signature()] { Loop(first); });
}

FileWatch::~FileWatch() { stop_.Set(); }

std::string FileWatch::Signature() const {
  std::string signature;
  for (const std::string& path : paths_) {
    struct stat s = {};
    if (stat(path.c_str(), &s) != 0) {
      signature += "-;";
      continue;
    }
    absl::StrAppend(&signature, s.st_dev, " ", s.st_ino, " ", s.st_size, " ", s.st_mtim.tv_sec, ".",
                    s.st_mtim.tv_nsec, " ", s.st_mode, ";");
  }
  return signature;
}

void FileWatch::Loop(std::string last) {
  while (!stop_.WaitFor(period_)) {
    std::string now = Signature();
    if (now == last) continue;
    last = std::move(now);
    changed_();
  }
}

}  // namespace mellow
