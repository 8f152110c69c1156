#include "src/cli/allocator.h"

#include <malloc.h>

namespace memfuse::cli {

void ConfigureAllocator() {
#ifdef __GLIBC__
  // NOLINTBEGIN(concurrency-mt-unsafe): there is no second thread yet.
  // glibc makes up to eight arenas per CPU, and what was freed in one serves no other. Names and
  // inodes are made by one worker and freed by another; few arenas keep few holes. The workers'
  // own caches still take most of the contention.
  mallopt(M_ARENA_MAX, 4);
  // By default the threshold grows with every large block that is freed, up to 32 MiB: the tables
  // of a directory that was once huge would then come to lie in the heap, between small things, and
  // never go back. A fixed one gives each large table a mapping of its own, returned when freed.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  // The end of the heap goes back once a mebibyte of it is free: not at each deletion, not late.
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  // NOLINTEND(concurrency-mt-unsafe)
#endif
}

}  // namespace memfuse::cli
