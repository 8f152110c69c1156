// The destination of the entries of a Readdir.

#ifndef MEMFUSE_DIRECTORY_SINK_H_
#define MEMFUSE_DIRECTORY_SINK_H_

#include <string_view>

#include "memfuse/requests.h"

namespace memfuse {

// Receives directory entries until its buffer is full. The file system calls it with the directory
// locked. An implementation must neither block nor call the file system.
class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  // Returns whether an entry with that name still fits. The file system calls it before it gives a
  // lookup.
  virtual bool HasRoomFor(std::string_view name) const = 0;
  // The file system is going to count a lookup of this inode, for the entry that it will add next.
  virtual void WillGiveLookup(InodeNumber) {}
  // Requires: HasRoomFor(entry.name).
  virtual void Add(const DirectoryEntry& entry) = 0;
};

}  // namespace memfuse

#endif  // MEMFUSE_DIRECTORY_SINK_H_
