#ifndef MELLOW_COMMON_OBS_METRICS_H_
#define MELLOW_COMMON_OBS_METRICS_H_

// Prometheus metrics behind a small interface, so that only this folder knows prometheus-cpp.
// Names: mellow_<service>_<what>_<unit>, counters end in _total. Thread-safe.

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mellow::obs {

using Labels = std::map<std::string, std::string>;

// Handles are cheap to copy and live as long as the Metrics they came from. A default-constructed
// handle ignores what it is told.
class Counter {
 public:
  Counter() = default;
  void Increment(double by = 1) const;

 private:
  friend class Metrics;
  explicit Counter(void* impl) : impl_(impl) {}
  void* impl_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  void Set(double value) const;
  void Add(double by) const;
  [[nodiscard]] double Value() const;

 private:
  friend class Metrics;
  explicit Gauge(void* impl) : impl_(impl) {}
  void* impl_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  void Observe(double value) const;

 private:
  friend class Metrics;
  explicit Histogram(void* impl) : impl_(impl) {}
  void* impl_ = nullptr;
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels give the same metric. A name has one kind and one help text.
  Counter AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram AddHistogram(const std::string& name, const std::string& help,
                         const std::vector<double>& bounds, const Labels& labels = {});
  // For info metrics whose labels change (mellow_policy_adapter_info): drops every metric of that
  // gauge, then sets one to 1.
  void SetInfo(const std::string& name, const std::string& help, const Labels& labels);

  // Ends a gauge's series: it is shown no more. The handle, and its copies, must not be used again.
  void Remove(const std::string& name, Gauge gauge);

  // What GET /metrics answers: Prometheus's text format 0.0.4.
  [[nodiscard]] std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Bucket bounds for seconds, 1 ms to 10 min.
[[nodiscard]] std::vector<double> LatencyBounds();

}  // namespace mellow::obs

#endif  // MELLOW_COMMON_OBS_METRICS_H_
