// What the metrics port answers: GET /metrics in the text format of Prometheus. memfuse(1) lists
// the metrics.
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

// Not synchronised: the server calls it from one thread. The file system must outlive the object.
class Metrics {
 public:
  // How many users, groups and directories are shown of each: those that store most.
  static constexpr size_t kMaxOwners = 100;

  // ApiFacts::is_administrator is not used.
  Metrics(ApiFacts facts, MemoryFileSystem* fs, StatisticsSource statistics)
      : facts_(std::move(facts)), fs_(*fs), statistics_(std::move(statistics)), usage_(fs) {}

  // Answers a request. Status 200, 404 (a path other than /metrics) or 405 (a method other than GET
  // and HEAD). Throws std::bad_alloc.
  HttpResponse Answer(const HttpRequest& request);

 private:
  // The path of a directory with a quota if it may be shown and the directory is not removed;
  // otherwise the ID.
  std::string Name(uint64_t id, const std::string& path) const;
  void AddProcess(PrometheusText* text) const;
  void AddSpace(PrometheusText* text) const;
  void AddRequests(PrometheusText* text) const;
  void AddOwners(PrometheusText* text);
  void AddRefusals(PrometheusText* text);

  const ApiFacts facts_;
  MemoryFileSystem& fs_;
  const StatisticsSource statistics_;
  UsageCache usage_;
};

}  // namespace memfuse::control

#endif  // MEMFUSE_SRC_CONTROL_METRICS_H_
