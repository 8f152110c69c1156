// The lookups that a READDIRPLUS reply gives to the kernel. If the reply does not reach the kernel,
// they are returned.

#ifndef MEMFUSE_SRC_TRANSPORT_LOOKUP_LIST_H_
#define MEMFUSE_SRC_TRANSPORT_LOOKUP_LIST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/types.h"

namespace memfuse::transport {

// The memory of a list. A successor of the process may read it. An inode is stored before its
// lookup is counted.
struct LookupMemory {
  // The number of the request to which the list belongs. 0 while the list is being set up.
  uint64_t* request = nullptr;
  absl::Span<InodeNumber> inodes;
};

// Used by one thread at a time.
class LookupList {
 public:
  // `memory` has room for the lookups of the largest reply (kMinPlusEntry), and outlives the list.
  void Use(const LookupMemory& memory) { memory_ = memory; }

  // Begins the list of a request.
  void Begin(uint64_t request) {
    SetRequest(0);
    size_ = 0;
    SetRequest(request);
  }
  // Begins the list of a request with lookups that another process has given for it.
  void BeginWith(uint64_t request, absl::Span<const InodeNumber> given) {
    SetRequest(0);
    for (size_ = 0; size_ < given.size(); ++size_) memory_.inodes[size_] = given[size_];
    SetRequest(request);
  }
  // Begins the list anew, after the lookups were returned.
  void Clear() { size_ = 0; }
  // Notes that the lookup after those that were added is that of `ino`.
  void SetNext(InodeNumber ino) { memory_.inodes[size_] = ino; }
  // The lookup was given.
  void Add() { ++size_; }
  absl::Span<const InodeNumber> given() const { return memory_.inodes.first(size_); }

 private:
  void SetRequest(uint64_t request) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    __atomic_store_n(memory_.request, request, __ATOMIC_RELAXED);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  LookupMemory memory_;
  size_t size_ = 0;
};

// The list of a process that has died. Its first inodes are those whose lookups were counted;
// FileSystem::LookupsGiven says how many they are. The others have no meaning.
struct LeftLookups {
  std::vector<InodeNumber> inodes;
  uint64_t* request;  // LookupMemory::request of the list
};
// By the number of the request.
using LeftLookupsByRequest = std::map<uint64_t, LeftLookups>;

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_LOOKUP_LIST_H_
