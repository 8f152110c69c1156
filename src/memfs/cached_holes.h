// Holes of a file that the kernel may hold in its page cache.
//
// The daemon delivers zeros when the kernel reads a hole. A program that maps the file may store
// into such a page, and the daemon hears of it at write-back. Until then it must not call that page
// a hole: the data is in the kernel.
//
// Not thread-safe: guarded by its file's lock.

#ifndef MEMFUSE_SRC_MEMFS_CACHED_HOLES_H_
#define MEMFUSE_SRC_MEMFS_CACHED_HOLES_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace memfuse::memfs {

// A set of page indexes, as sorted ranges with gaps between them. It has a bound: where there would
// be more than kMaxRanges, the two with the smallest gap become one. So it may come to hold pages
// that were never added, but none that was added is missing.
class CachedHoles {
 public:
  static constexpr size_t kMaxRanges = 16;
  static constexpr uint64_t kNone = ~uint64_t{0};

  // Adds the pages [first, last]. Does not fail.
  void Add(uint64_t first, uint64_t last);

  bool empty() const { return count_ == 0; }
  // The first page of the set that is not before `page`; kNone if there is none.
  uint64_t NextPresent(uint64_t page) const;
  // The first page not before `page` that is not in the set.
  uint64_t NextMissing(uint64_t page) const;

 private:
  struct Range {
    uint64_t first;
    uint64_t last;
  };

  std::array<Range, kMaxRanges + 1> ranges_;  // the first count_ of them; one more while Add works
  size_t count_ = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_CACHED_HOLES_H_
