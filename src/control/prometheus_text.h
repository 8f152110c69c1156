// The text format of Prometheus, version 0.0.4:
//
//   # HELP memfuse_inodes Inodes in use.
//   # TYPE memfuse_inodes gauge
//   memfuse_inodes 17
//
// The library prometheus-cpp does the same. Debian and Ubuntu have it as a shared library only,
// whose package has another name in each of their releases, so that one package of memfuse could
// not depend on it.

#ifndef MEMFUSE_SRC_CONTROL_PROMETHEUS_TEXT_H_
#define MEMFUSE_SRC_CONTROL_PROMETHEUS_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "memfuse/statistics.h"

namespace memfuse::control {

class PrometheusText {
 public:
  static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  // Begins a family of metrics; its samples follow. `type`: counter, gauge or histogram. `help`:
  // one sentence. Every method throws std::bad_alloc.
  void Family(std::string_view name, std::string_view type, std::string_view help);

  // Adds a sample of the family. Bytes of a label's value that are no UTF-8 are replaced.
  void Sample(const Labels& labels, uint64_t value);
  void Sample(const Labels& labels, double value);
  // Adds the samples of a histogram in seconds, cumulative as Prometheus expects.
  void Histogram(const Labels& labels, const LatencyHistogram& latency);

  const std::string& text() const { return text_; }

 private:
  void Line(std::string_view suffix, const Labels& labels, std::string_view value);

  std::string name_;
  std::string text_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_PROMETHEUS_TEXT_H_
