// The parameters of a FUSE connection.

#ifndef MEMFUSE_CONNECTION_H_
#define MEMFUSE_CONNECTION_H_

#include <cstdint>

namespace memfuse {

// The parameters on which the kernel and the server agreed in INIT. A server that adopts an
// initialised connection needs the values of the server that initialised it, because the kernel
// sends them only once.
struct ConnectionParameters {
  uint32_t minor = 0;      // of protocol 7; the smaller of the two sides
  uint64_t flags = 0;      // FUSE_* INIT flags that are in force
  uint32_t max_write = 0;  // bytes of data in the largest WRITE
  uint32_t max_pages = 0;  // pages of 4 KiB in the largest READ; at least as many as in a WRITE
};

}  // namespace memfuse

#endif  // MEMFUSE_CONNECTION_H_
