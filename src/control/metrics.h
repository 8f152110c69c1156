// What the metrics port answers for /metrics: GET /metrics in the text format of Prometheus.
// memfuse(1) lists the metrics.
//
// A client of a TCP port has no identity, so all clients see the same: the totals, the refusals,
// and what users, groups and directories with a quota store, by ID. Without
// ApiFacts::show_directories the ID of a directory is its inode number, and the mount point is the
// only path.

#ifndef MEMFUSE_SRC_CONTROL_METRICS_H_
#define MEMFUSE_SRC_CONTROL_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "memfuse/memory_filesystem.h"
#include "src/control/api.h"
#include "src/control/http.h"
#include "src/control/prometheus_text.h"
#include "src/control/usage_cache.h"

namespace memfuse::control {

// Not synchronised: the server calls it from one thread. Long answers may be computed on one other
// thread; they must be destroyed before the object. The file system and `usage` must outlive it.
class Metrics {
 public:
  // How many users, groups and directories are shown of each: those that store most.
  static constexpr size_t kMaxOwners = 100;

  // ApiFacts::is_administrator is not used.
  Metrics(ApiFacts facts, MemoryFileSystem* fs, UsageCache* usage, StatisticsSource statistics)
      : facts_(std::move(facts)), fs_(*fs), usage_(*usage), statistics_(std::move(statistics)) {}

  // Answers a request for /metrics. Status 200, or 405 (a method other than GET and HEAD). Throws
  // std::bad_alloc.
  control::Answer Answer(const HttpRequest& request);

 private:
  // The path of a directory with a quota if it may be shown and the directory is not removed;
  // otherwise the ID.
  std::string Name(uint64_t id, const std::string& path) const;
  void AddProcess(PrometheusText* text) const;
  void AddSpace(PrometheusText* text) const;
  void AddRequests(PrometheusText* text) const;
  void AddOwners(const UsageCache::Usage& usage, PrometheusText* text) const;
  void AddRefusals(PrometheusText* text) const;

  const ApiFacts facts_;
  MemoryFileSystem& fs_;
  UsageCache& usage_;
  const StatisticsSource statistics_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_METRICS_H_
