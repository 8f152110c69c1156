// The most recent requests of one worker, which other threads may read at any time.

#ifndef MEMFUSE_SRC_TRANSPORT_RECENT_REQUESTS_H_
#define MEMFUSE_SRC_TRANSPORT_RECENT_REQUESTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "memfuse/statistics.h"

namespace memfuse::transport {

// A ring of entries. One thread adds; any thread may copy. Neither waits for the other.
//
// An entry is four words. The writer announces entry n in begun_, stores the words, and then
// publishes the entry in done_. A reader that finds a word of entry n also finds begun_ > n: the
// store of the word is a release, and its load an acquire. The reader therefore copies the
// published entries first, reads begun_ afterwards, and drops the entries that the writer may have
// been overwriting meanwhile. No fence is needed, which ThreadSanitizer would not understand.
class RecentRequests {
 public:
  static constexpr size_t kCapacity = 1024;

  // Only the owning thread calls the next two. Prefetch fetches the memory of the next entry: the
  // ring is as large as a first-level cache, so the entry is not in it.
  void Prefetch() const {
    constexpr int kForWriting = 1;
    const uint64_t number = done_.load(std::memory_order_relaxed);
    __builtin_prefetch(entries_[number % kCapacity].data(), kForWriting);
  }
  void Add(const RecentRequest& request);

  // Appends the entries that were published before the call and not overwritten during it, in the
  // order in which they were added. At most kCapacity. Returns the moment since when all requests
  // that ended are among them: the end of the oldest one; 0 if none is missing, and the
  // largest number if all were overwritten. Throws std::bad_alloc.
  uint64_t AppendTo(std::vector<RecentRequest>* requests) const;

 private:
  using Entry = std::array<std::atomic<uint64_t>, 4>;  // half a cache line

  std::atomic<uint64_t> begun_{0};  // atomic; entries of which a word may have been stored
  std::atomic<uint64_t> done_{0};   // atomic; entries of which all words are stored
  alignas(64) std::array<Entry, kCapacity> entries_{};
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_RECENT_REQUESTS_H_
