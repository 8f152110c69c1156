// What one worker counts of the requests that it serves. memfuse/statistics.h describes the
// numbers.
//
// One thread counts, and any thread may read at any time. Counting takes no lock and allocates
// nothing. Each set has its own cache lines, so that workers do not slow each other down.

#ifndef MEMFUSE_SRC_TRANSPORT_REQUEST_STATISTICS_H_
#define MEMFUSE_SRC_TRANSPORT_REQUEST_STATISTICS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "memfuse/statistics.h"
#include "src/protocol/opcodes.h"
#include "src/transport/recent_requests.h"

namespace memfuse::transport {

// A number with a single writer, so that it needs no atomic addition. A reader of one counter finds
// in the counters that it reads afterwards what the writer counted before.
class Counter {
 public:
  void Add(uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_release);
  }
  uint64_t value() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<uint64_t> value_{0};
};

class alignas(64) RequestStatistics {
 public:
  // Counts a request, before it is answered. Numbers beyond the table are counted at index 0, which
  // is not an opcode.
  void Begin(uint32_t opcode) {
    Operation& operation = operations_[IndexOf(opcode)];
    operation.requests.Add(1);
    // What End writes is fetched while the file system works. This halves the cost of the
    // statistics of a mount, where the kernel and the client have used the cache since the last
    // request. Latencies of 8 us to 2 ms are in the second cache line of the operation, and shorter
    // ones in the first.
    constexpr int kForWriting = 1;
    __builtin_prefetch(&operation.latency[4], kForWriting);
    recent_.Prefetch();
  }

  // Counts the outcome of a request for which Begin was called. `bytes`: the file data that it
  // moved.
  void End(const RecentRequest& request, uint64_t bytes);

  // Adds the counts to `sums`, which is indexed by opcode and has kOpcodeLimit elements. Throws
  // std::bad_alloc.
  void AddTo(absl::Span<OperationStatistics> sums) const;

  // The number of requests of all opcodes.
  uint64_t total() const;

  const RecentRequests& recent() const { return recent_; }

 private:
  // An operation answers few different errors. A free place has the number 0.
  struct ErrorCounter {
    std::atomic<int> number{0};  // set once
    Counter count;
  };
  static constexpr size_t kErrorNumbers = 8;

  // The first cache line has what every request changes, except its bucket.
  struct alignas(64) Operation {
    Counter requests;
    Counter latency_sum;
    Counter bytes;
    Counter other_errors;  // beyond error_numbers
    std::array<Counter, LatencyHistogram::kBuckets> latency;
    std::array<ErrorCounter, kErrorNumbers> error_numbers;
  };

  static size_t IndexOf(uint32_t opcode) { return opcode < protocol::kOpcodeLimit ? opcode : 0; }
  static void CountError(int number, Operation* operation);

  std::array<Operation, protocol::kOpcodeLimit> operations_;
  RecentRequests recent_;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_REQUEST_STATISTICS_H_
