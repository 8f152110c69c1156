#include "src/cli/allocator.h"

#include <malloc.h>

namespace memfuse::cli {

void ConfigureAllocator() {
#ifdef __GLIBC__
  // NOLINTBEGIN(concurrency-mt-unsafe): there is no second thread yet.
  // glibc makes up to eight arenas per CPU. Memory that was freed in one arena is not reused by
  // another. One worker allocates names and inodes and another frees them; with few arenas there
  // are few holes. The workers' thread caches still absorb most of the contention.
  mallopt(M_ARENA_MAX, 4);
  // By default the threshold grows with every large block that is freed, up to 32 MiB. The tables
  // of a directory that was once huge would then be in the heap, between small blocks, and never
  // be returned to the kernel. With a fixed threshold each large table has a mapping of its own,
  // which is returned when it is freed.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  // The end of the heap is returned once 1 MiB of it is free, and not at each deletion.
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  // NOLINTEND(concurrency-mt-unsafe)
#endif
}

}  // namespace memfuse::cli
