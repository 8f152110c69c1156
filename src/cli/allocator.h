// malloc, set up for a daemon whose memory is somebody's disk.

#ifndef MEMFUSE_SRC_CLI_ALLOCATOR_H_
#define MEMFUSE_SRC_CLI_ALLOCATOR_H_

namespace memfuse::cli {

// To be called before there is a second thread.
void ConfigureAllocator();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_ALLOCATOR_H_
