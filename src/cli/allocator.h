// Settings of malloc for a daemon that stores files in its memory.

#ifndef MEMFUSE_SRC_CLI_ALLOCATOR_H_
#define MEMFUSE_SRC_CLI_ALLOCATOR_H_

namespace memfuse::cli {

// Must be called before there is a second thread.
void ConfigureAllocator();

}  // namespace memfuse::cli

#endif  // MEMFUSE_SRC_CLI_ALLOCATOR_H_
