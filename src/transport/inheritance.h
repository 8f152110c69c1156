// What a session takes over from servers that have died.

#ifndef MEMFUSE_SRC_TRANSPORT_INHERITANCE_H_
#define MEMFUSE_SRC_TRANSPORT_INHERITANCE_H_

#include <cstdint>
#include <set>

#include "src/transport/lookup_list.h"

namespace memfuse::transport {

struct Inheritance {
  // Returns whether a request that the kernel sends again is answered with EIO.
  bool Refuses(uint64_t request) const { return refused.count(request) > 0; }

  // The lookups that were given for READDIRPLUS requests that were not answered.
  LeftLookupsByRequest lookups;
  // The numbers of requests that two servers were serving when they crashed.
  std::set<uint64_t> refused;
  // Servers have crashed early (keeper/keeper.h): requests that change the file system are answered
  // with EROFS, except WRITE of data that the kernel had accepted before.
  bool read_only = false;
};

}  // namespace memfuse::transport

#endif  // MEMFUSE_SRC_TRANSPORT_INHERITANCE_H_
