// Where the data of regular files lies: makes a FileData for each.
//
//   arena  pages in a memory file of the daemon (arena_store.h); everywhere
//   shmem  files of a private tmpfs, which the kernel reads and writes by itself (shmem_store.h)
//   null   nowhere: writes vanish, reads are zeros (null_store.h); measures the transport alone

#ifndef MEMFUSE_SRC_MEMFS_DATA_STORE_H_
#define MEMFUSE_SRC_MEMFS_DATA_STORE_H_

#include <cstdint>

#include "memfuse/errno.h"
#include "memfuse/types.h"
#include "src/memfs/budget.h"
#include "src/memfs/file_data.h"

namespace memfuse::memfs {

struct Resources;
class RegularFile;

// Thread-safe. Outlives its files.
class DataStore {
 public:
  virtual ~DataStore() = default;

  // A new regular file, as RegularFile's constructor makes it. May throw std::bad_alloc.
  virtual RegularFile* NewRegularFile(Resources* resources, InodeNumber ino, Timestamp born,
                                      Reservation charge) = 0;
  // What an empty one is charged.
  virtual uint32_t file_cost() const = 0;

  // Whether files take what they are given to write by Payload::MoveTo.
  virtual bool accepts_splice() const { return false; }

  // Bytes that files hold now, in whole pages.
  virtual uint64_t data_bytes() const = 0;
  // Bytes that can still be written.
  virtual uint64_t free_bytes() const = 0;
  // Sets the limit on everything that is stored, beside others who use it, one caller at a time.
  // Never is more stored than the larger of both limits allows. EINVAL: more than that is used now;
  // ENOMEM, EMFILE, ENFILE. Nothing is changed then.
  virtual Result<void> SetSizeLimit(uint64_t bytes) = 0;
  // Of what the store reads by itself, from now on. EINVAL, EPERM.
  virtual Result<void> KeepAccessTimes(bool /*keep*/) { return {}; }
  // Hands back what was reserved ahead and is not used: all of it, or what is more than a little.
  virtual void ReleaseUnused(bool /*all*/) {}
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_STORE_H_
