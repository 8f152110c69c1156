// What a session measures of the requests that it serves: plain data.
//
// The latency of a request is the time from its receipt until the reply was handed to the kernel,
// on CLOCK_MONOTONIC. It contains the work of the file system and the waits in it, and not the time
// for which the request waited in the kernel for a free worker. Through /dev/fuse it contains the
// write(2) of the reply. Through io_uring it does not: the reply is submitted together with the
// wait for the next request. For a request without a reply, such as FORGET, it ends when the file
// system has returned.

#ifndef MEMFUSE_STATISTICS_H_
#define MEMFUSE_STATISTICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "memfuse/types.h"

namespace memfuse {

// Counts of latencies. The upper bounds of the buckets are powers of two in nanoseconds, from
// 2^10 (1 us) to 2^32 (4.3 s). The last bucket has no bound.
struct LatencyHistogram {
  static constexpr size_t kBuckets = 24;
  static constexpr uint64_t kUnbounded = std::numeric_limits<uint64_t>::max();

  // The largest latency, in nanoseconds, that bucket `bucket` counts.
  static constexpr uint64_t UpperBound(size_t bucket) {
    return bucket + 1 < kBuckets ? uint64_t{1024} << bucket : kUnbounded;
  }
  // The bucket that counts `nanoseconds`.
  static constexpr size_t BucketOf(uint64_t nanoseconds) {
    const uint64_t units = (nanoseconds - (nanoseconds != 0 ? 1 : 0)) >> 10;
    const size_t bucket = units == 0 ? 0 : 64 - static_cast<size_t>(__builtin_clzll(units));
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }

  // The number of latencies.
  uint64_t total() const {
    uint64_t sum = 0;
    for (const uint64_t count : counts) sum += count;
    return sum;
  }
  // Returns: the latency, in nanoseconds, below which the share `quantile` (0 to 1) of all
  // latencies lies. The latencies of a bucket are taken as spread evenly over it, and those of the
  // last bucket as its lower bound. 0 without latencies.
  double Quantile(double quantile) const;

  // For the sum over operations, and for what happened between two readings of one operation.
  LatencyHistogram& operator+=(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts[i] += other.counts[i];
    sum_nanoseconds += other.sum_nanoseconds;
    return *this;
  }
  LatencyHistogram& operator-=(const LatencyHistogram& earlier) {
    for (size_t i = 0; i < kBuckets; ++i) counts[i] -= earlier.counts[i];
    sum_nanoseconds -= earlier.sum_nanoseconds;
    return *this;
  }

  std::array<uint64_t, kBuckets> counts{};  // of each bucket alone, not cumulative
  uint64_t sum_nanoseconds = 0;
};

inline double LatencyHistogram::Quantile(double quantile) const {
  const double rank = quantile * static_cast<double>(total());
  double below = 0;
  double bound = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    const auto count = static_cast<double>(counts[i]);
    if (count == 0) continue;
    const double lower = i == 0 ? 0 : static_cast<double>(UpperBound(i - 1));
    if (i + 1 == kBuckets) return lower;
    bound = static_cast<double>(UpperBound(i));
    if (below + count >= rank) return lower + (bound - lower) * (rank - below) / count;
    below += count;
  }
  return bound;
}

struct ErrorCount {
  int number = 0;  // as in errno; 0: errors for whose number the operation had no counter left
  uint64_t count = 0;
};

// The requests of one opcode since the start of the session.
//
// A request is counted in `requests` before its reply, and in the other members after it. A client
// that has its answer therefore finds `requests` raised, and may find the others not raised yet.
// `requests - latency.total()` requests are in progress. The numbers are read while requests are
// served; each is correct at some moment of the call.
struct OperationStatistics {
  std::string_view name;  // of the protocol, such as "LOOKUP"; "UNKNOWN" at index 0
  uint64_t requests = 0;
  // Requests with an error as their answer. LOOKUP of a missing name (ENOENT) and GETXATTR of a
  // missing attribute (ENODATA) are among them, although programs cause them all the time.
  uint64_t errors = 0;
  // `errors` by number, without zeros, by increasing number. The first 8 numbers that an operation
  // answers in one worker have counters; further ones share the number 0.
  std::vector<ErrorCount> error_numbers;
  // File data in bytes that READ returned, WRITE stored or COPY_FILE_RANGE copied. 0 for other
  // operations. Data that the kernel itself moves (passthrough, page cache) is not among it.
  uint64_t bytes = 0;
  LatencyHistogram latency;  // of the requests that were served, whether with an error or not
};

// One request that was served.
struct RecentRequest {
  uint32_t opcode = 0;  // for Session::OpcodeName; 0 for a number beyond the protocol's
  int error = 0;        // of the reply, as in errno; 0: success. As in OperationStatistics::errors.
  // The inode that the request names: the directory for an operation on a name in it, and otherwise
  // the file. kNoInode for operations on the file system.
  InodeNumber ino = kNoInode;
  // Of the calling thread; see RequestContext. A kernel that can make idmapped mounts (Linux 6.12)
  // tells the user only in requests that make an inode; /proc tells the user of `pid`.
  std::optional<uint32_t> uid;
  uint32_t pid = 0;
  uint64_t start_nanoseconds = 0;    // the receipt, on CLOCK_MONOTONIC
  uint64_t latency_nanoseconds = 0;  // at most 2^40 - 1 (18 minutes)

  uint64_t end_nanoseconds() const { return start_nanoseconds + latency_nanoseconds; }
};

// All requests that ended between `since_nanoseconds` (CLOCK_MONOTONIC) and the call, by increasing
// start. A worker that has just answered may not have recorded its last request yet.
struct RecentRequestList {
  uint64_t since_nanoseconds = 0;
  std::vector<RecentRequest> requests;
};

}  // namespace memfuse

#endif  // MEMFUSE_STATISTICS_H_
