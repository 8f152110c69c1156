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

// Identifies a mount. The kernel reuses the numbers of mounts and devices once they are free,
// unless it has unique mount ids (Linux 6.8).
struct MountIdentity {
  bool known = false;
  bool unique = false;  // mount_id is never reused
  uint64_t mount_id = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
};

// What a process needs, in addition to the descriptors, to take a connection over from a process
// that has died (Session::AdoptOptions::predecessor). Trivially copyable.
struct ConnectionState {
  ConnectionParameters parameters;
  // The mount that Session::Mount made, and its path with a zero at the end.
  MountIdentity mount;
  bool by_helper = false;  // it was made by fusermount3
  char mount_point[4096] = {};
};

}  // namespace memfuse

#endif  // MEMFUSE_CONNECTION_H_
