// The lookups that a READDIRPLUS reply gives to the kernel. If the reply does not reach the kernel,
// they are returned.

#ifndef MEMFUSE_SRC_TRANSPORT_LOOKUP_LIST_H_
#define MEMFUSE_SRC_TRANSPORT_LOOKUP_LIST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/types/span.h"
#include "memfuse/types.h"

namespace memfuse::transport {

// Used by one thread at a time.
class LookupList {
 public:
  // `memory` has room for the lookups of the largest reply (kMinPlusEntry), and outlives the list.
  // Another process may read it: an inode is in it before its lookup is counted.
  void Use(absl::Span<InodeNumber> memory) { memory_ = memory; }

  void Clear() { size_ = 0; }
  // Notes that the lookup after those that were added is that of `ino`.
  void SetNext(InodeNumber ino) { memory_[size_] = ino; }
  // The lookup was given.
  void Add() { ++size_; }
  absl::Span<const InodeNumber> given() const { return memory_.first(size_); }

 private:
  absl::Span<InodeNumber> memory_;
  size_t size_ = 0;
};

// The lists of a process that has died, by the number of the request: those that it has given, and
// perhaps others behind them.
using LeftLookups = std::map<uint64_t, std::vector<InodeNumber>>;

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_LOOKUP_LIST_H_
