#ifndef MELLOW_SERVICES_ORCHESTRATOR_BASE_LINKED_STOP_H_
#define MELLOW_SERVICES_ORCHESTRATOR_BASE_LINKED_STOP_H_

#include <functional>
#include <stop_token>

namespace mellow::orchestrator {

// Stops when one of its tokens does.
class LinkedStop {
 public:
  LinkedStop(std::stop_token a, std::stop_token b, std::stop_token c = {})
      : on_a_(std::move(a), [this] { source_.request_stop(); }),
        on_b_(std::move(b), [this] { source_.request_stop(); }),
        on_c_(std::move(c), [this] { source_.request_stop(); }) {}
  LinkedStop(const LinkedStop&) = delete;
  LinkedStop& operator=(const LinkedStop&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> on_a_;
  std::stop_callback<std::function<void()>> on_b_;
  std::stop_callback<std::function<void()>> on_c_;
};

}  // namespace mellow::orchestrator

#endif  // MELLOW_SERVICES_ORCHESTRATOR_BASE_LINKED_STOP_H_
