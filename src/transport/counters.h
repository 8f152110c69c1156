// Counters of requests, one set per worker.

#ifndef MEMFUSE_SRC_TRANSPORT_COUNTERS_H_
#define MEMFUSE_SRC_TRANSPORT_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "src/protocol/opcodes.h"

namespace memfuse::transport {

// One thread counts, and any thread may read. Each set has its own cache lines, so that workers do
// not slow each other down by counting.
class alignas(64) RequestCounters {
 public:
  // Numbers beyond the table are counted at index 0, which is not an opcode.
  void Count(uint32_t opcode) {
    std::atomic<uint64_t>& counter = counts_[opcode < counts_.size() ? opcode : 0];
    // There is a single writer, so no atomic addition is needed.
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  uint64_t count(size_t opcode) const { return counts_[opcode].load(std::memory_order_relaxed); }

  uint64_t total() const {
    uint64_t sum = 0;
    for (const std::atomic<uint64_t>& counter : counts_) {
      sum += counter.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  std::array<std::atomic<uint64_t>, protocol::kOpcodeLimit> counts_{};
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_COUNTERS_H_
