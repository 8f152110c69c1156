#include "src/control/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "src/control/names.h"

namespace memfuse::control {
namespace {

constexpr char kCounter[] = "counter";
constexpr char kGauge[] = "gauge";

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// The owners of a kind that store most: at most Metrics::kMaxOwners.
std::vector<QuotaUsage> Largest(const std::vector<QuotaUsage>& usage, QuotaKind kind) {
  std::vector<QuotaUsage> owners;
  for (const QuotaUsage& owner : usage) {
    if (owner.kind == kind) owners.push_back(owner);
  }
  std::sort(owners.begin(), owners.end(), [](const QuotaUsage& a, const QuotaUsage& b) {
    if (a.bytes != b.bytes) return a.bytes > b.bytes;
    return a.id < b.id;
  });
  if (owners.size() > Metrics::kMaxOwners) owners.resize(Metrics::kMaxOwners);
  return owners;
}

}  // namespace

control::Answer Metrics::Answer(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return HttpResponse{405, "/metrics can be read only.\n", "text/plain; charset=utf-8",
                        "GET, HEAD"};
  }
  return usage_.Ask([this](const UsageCache::Usage& usage) {
    PrometheusText text;
    AddProcess(&text);
    AddSpace(&text);
    AddRequests(&text);
    AddOwners(usage, &text);
    AddRefusals(&text);
    return HttpResponse{200, text.text(), PrometheusText::kContentType};
  });
}

std::string Metrics::Name(uint64_t id, const std::string& path) const {
  return facts_.show_directories && !path.empty() ? path : std::to_string(id);
}

void Metrics::AddProcess(PrometheusText* text) const {
  text->Family("memfuse_info", kGauge, "1; the labels describe the mount.");
  text->Sample({{"version", facts_.version},
                {"mount_point", facts_.mount_point},
                {"store", facts_.store},
                {"transport", facts_.transport}},
               uint64_t{1});
  text->Family("memfuse_threads", kGauge, "Threads that serve requests, as set by --threads.");
  text->Sample({}, static_cast<uint64_t>(facts_.threads));
  text->Family("memfuse_takeovers_total", kCounter,
               "Successors that have taken over from a server that had died.");
  text->Sample({}, facts_.takeovers);
  text->Family("process_start_time_seconds", kGauge,
               "When the daemon started, in seconds since 1970.");
  text->Sample({}, absl::ToDoubleSeconds(facts_.start - absl::UnixEpoch()));
  if (rusage usage = {}; getrusage(RUSAGE_SELF, &usage) == 0) {
    text->Family("process_cpu_seconds_total", kCounter,
                 "CPU time of the daemon, in user and kernel mode.");
    text->Sample({}, Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  }
  uint64_t total = 0;
  uint64_t resident = 0;
  if (std::ifstream statm("/proc/self/statm"); statm >> total >> resident) {
    text->Family("process_resident_memory_bytes", kGauge, "Resident memory of the daemon.");
    text->Sample({}, resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  }
}

void Metrics::AddSpace(PrometheusText* text) const {
  const MemoryFileSystemUsage usage = fs_.Usage();
  text->Family("memfuse_size_bytes", kGauge, "Limit on what is stored: data and metadata.");
  text->Sample({}, usage.size_limit);
  text->Family("memfuse_used_bytes", kGauge,
               "Part of memfuse_size_bytes that is in use, for file data and for metadata.");
  text->Sample({{"kind", "data"}}, usage.data_bytes);
  text->Sample({{"kind", "metadata"}},
               usage.bytes_used - std::min(usage.bytes_used, usage.data_bytes));
  text->Family("memfuse_inodes_limit", kGauge, "Limit on the number of inodes.");
  text->Sample({}, usage.inode_limit);
  text->Family("memfuse_inodes", kGauge, "Inodes in use.");
  text->Sample({}, usage.inodes_used);
  text->Family("memfuse_removed_bytes", kGauge,
               "Part of memfuse_used_bytes that removed files take until they are freed.");
  text->Sample({}, usage.removed_bytes);
  text->Family("memfuse_removed_inodes", kGauge,
               "Part of memfuse_inodes that was removed and is not forgotten by the kernel yet.");
  text->Sample({}, usage.removed_inodes);
}

void Metrics::AddRequests(PrometheusText* text) const {
  std::vector<OperationStatistics> operations = statistics_();
  operations.erase(std::remove_if(operations.begin(), operations.end(),
                                  [](const auto& operation) { return operation.requests == 0; }),
                   operations.end());
  const auto label = [](const OperationStatistics& operation) {
    return PrometheusText::Labels{{"operation", std::string(operation.name)}};
  };
  text->Family("memfuse_requests_total", kCounter,
               "Requests of the kernel, by operation of the FUSE protocol.");
  uint64_t in_progress = 0;
  for (const OperationStatistics& operation : operations) {
    text->Sample(label(operation), operation.requests);
    in_progress += operation.requests - operation.latency.total();
  }
  text->Family("memfuse_requests_in_progress", kGauge, "Requests that are being served.");
  text->Sample({}, in_progress);
  text->Family(
      "memfuse_request_errors_total", kCounter,
      "Requests that were answered with an error. ENOENT of LOOKUP, ENODATA of GETXATTR and "
      "ENOSYS are normal.");
  for (const OperationStatistics& operation : operations) {
    for (const ErrorCount& error : operation.error_numbers) {
      PrometheusText::Labels labels = label(operation);
      labels.emplace_back("error", ErrorName(error.number));
      text->Sample(labels, error.count);
    }
  }
  text->Family("memfuse_request_duration_seconds", "histogram",
               "Time that the daemon took for a request, without the wait for a thread.");
  for (const OperationStatistics& operation : operations) {
    text->Histogram(label(operation), operation.latency);
  }
  // What the kernel moves by itself is not among it.
  const struct {
    const char* metric;
    const char* operation;
    const char* help;
  } kBytes[] = {
      {"memfuse_read_bytes_total", "READ", "File data that the daemon returned to READ."},
      {"memfuse_written_bytes_total", "WRITE", "File data that the daemon stored for WRITE."},
      {"memfuse_copied_bytes_total", "COPY_FILE_RANGE", "File data that the daemon copied."}};
  for (const auto& [metric, name, help] : kBytes) {
    uint64_t bytes = 0;
    for (const OperationStatistics& operation : operations) {
      if (operation.name == name) bytes = operation.bytes;
    }
    text->Family(metric, kCounter, help);
    text->Sample({}, bytes);
  }
}

void Metrics::AddOwners(const UsageCache::Usage& usage, PrometheusText* text) const {
  std::vector<QuotaUsage> owners;
  for (const QuotaKind kind : {QuotaKind::kUser, QuotaKind::kGroup, QuotaKind::kTree}) {
    const std::vector<QuotaUsage> largest = Largest(usage, kind);
    owners.insert(owners.end(), largest.begin(), largest.end());
  }
  const struct {
    const char* metric;
    uint64_t QuotaUsage::*value;
    const char* help;
  } kFamilies[] = {
      {"memfuse_quota_used_bytes", &QuotaUsage::bytes,
       "What a user, a group or a directory with a quota stores: the 100 of each that store most."},
      {"memfuse_quota_limit_bytes", &QuotaUsage::byte_limit,
       "Quota in bytes, of those owners of memfuse_quota_used_bytes that have one."},
      {"memfuse_quota_used_inodes", &QuotaUsage::inodes,
       "Inodes of the owners of memfuse_quota_used_bytes."},
      {"memfuse_quota_limit_inodes", &QuotaUsage::inode_limit,
       "Quota in inodes, of those owners of memfuse_quota_used_bytes that have one."}};
  for (const auto& [metric, value, help] : kFamilies) {
    text->Family(metric, kGauge, help);
    for (const QuotaUsage& owner : owners) {
      if (owner.*value == kNoQuota) continue;
      text->Sample({{"kind", KindName(owner.kind)}, {"id", Name(owner.id, owner.path)}},
                   owner.*value);
    }
  }
}

void Metrics::AddRefusals(PrometheusText* text) const {
  text->Family("memfuse_refusals_total", kCounter,
               "Operations that a limit has refused. Only the 32 limits that refused last.");
  for (const Refusal& refusal : fs_.Refusals()) {
    PrometheusText::Labels labels = {{"limit", LimitName(refusal.limit)},
                                     {"owner", OwnerName(refusal.owner)}};
    if (refusal.owner == Refusal::Owner::kUser || refusal.owner == Refusal::Owner::kGroup ||
        refusal.owner == Refusal::Owner::kTree) {
      labels.emplace_back("id", Name(refusal.id, refusal.path));
    }
    text->Sample(labels, refusal.count);
  }
}

}  // namespace memfuse::control
