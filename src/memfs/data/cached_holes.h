// Holes of a file that the kernel may have in its page cache.
//
// The daemon returns zeros when the kernel reads a hole. A program that maps the file may store
// into such a page, and the daemon learns of it only at write-back. Until then the daemon must not
// report that page as a hole, because the kernel holds data for it.
//
// Not thread-safe: the lock of the file guards it.

#ifndef MEMFUSE_SRC_MEMFS_DATA_CACHED_HOLES_H_
#define MEMFUSE_SRC_MEMFS_DATA_CACHED_HOLES_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace memfuse::memfs {

// A set of page indexes, stored as sorted ranges with gaps between them. Its size is bounded: when
// there would be more than kMaxRanges ranges, the two with the smallest gap are merged. The set may
// therefore contain pages that were never added, but it always contains every page that was added.
class CachedHoles {
 public:
  static constexpr size_t kMaxRanges = 16;
  static constexpr uint64_t kNone = ~uint64_t{0};

  // Adds the pages [first, last]. It cannot fail.
  void Add(uint64_t first, uint64_t last);

  bool empty() const { return count_ == 0; }
  // Returns the first page of the set that is not before `page`, or kNone.
  uint64_t NextPresent(uint64_t page) const;
  // Returns the first page not before `page` that is not in the set.
  uint64_t NextMissing(uint64_t page) const;

 private:
  struct Range {
    uint64_t first;
    uint64_t last;
  };

  // the first count_ are valid; Add uses one more temporarily
  std::array<Range, kMaxRanges + 1> ranges_;
  size_t count_ = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_CACHED_HOLES_H_
