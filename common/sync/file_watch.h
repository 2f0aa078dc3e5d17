#ifndef MELLOW_COMMON_SYNC_FILE_WATCH_H_
#define MELLOW_COMMON_SYNC_FILE_WATCH_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/sync/stop_event.h"

namespace mellow {

// Tells when one of some files may have changed: written, replaced, a link that points elsewhere.
// Looks every `period` (not by inotify, which sees nothing of a Kubernetes secret or of NFS).
class FileWatch {
 public:
  // `changed` is called from a thread of this object, after every difference from what the files
  // were when this constructor returned. A file that does not exist is a state like any other.
  FileWatch(std::vector<std::string> paths, absl::Duration period, std::function<void()> changed);
  // Stops and joins.
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  std::string Signature() const;  // equal: nothing has changed
  void Loop(std::string last);

  const std::vector<std::string> paths_;
  const absl::Duration period_;
  const std::function<void()> changed_;
  StopEvent stop_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace mellow

#endif  // MELLOW_COMMON_SYNC_FILE_WATCH_H_
