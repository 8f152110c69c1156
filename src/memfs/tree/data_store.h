// The interface to a store of file data: a store makes a FileData object for each regular file. The
// stores are the values of --data=:
//
//    daemon       pages in a memory file of the daemon (daemon_store.h); works on every system
//    passthrough  files of a private tmpfs, which the kernel reads and writes itself
//                 (passthrough_store.h)
//    null         data is discarded and reads return zeros (null_store.h); used to measure the cost
//                 of the transport alone

#ifndef MEMFUSE_SRC_MEMFS_TREE_DATA_STORE_H_
#define MEMFUSE_SRC_MEMFS_TREE_DATA_STORE_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "memfuse/errno.h"
#include "memfuse/types.h"
#include "src/memfs/space/account.h"
#include "src/memfs/tree/file_data.h"
#include "src/memfs/tree/tree_records.h"

namespace memfuse::memfs {

struct Resources;
class RegularFile;

// Thread-safe. A store must outlive its files.
class DataStore {
 public:
  virtual ~DataStore() = default;

  // Makes a regular file with the given arguments of RegularFile's constructor. May throw
  // std::bad_alloc.
  virtual RegularFile* NewRegularFile(Resources* resources, InodeRecordHolder record,
                                      Reservation charge) = 0;
  // What an empty file is charged.
  virtual uint32_t file_cost() const = 0;

  // Whether data lies in files of the kernel. The kernel then counts the data, which the budget
  // does not, and may write to the files without a request.
  virtual bool kernel_writes() const { return false; }

  // The file or mount that a successor needs to continue with the data, or -1 if there is none. The
  // store owns the descriptor.
  virtual int descriptor() const { return -1; }
  // The last step when a store was made again from that descriptor: all files have been made, and
  // have got their blocks (FileData::Adopt). Frees what belongs to no file. `find` returns the data
  // of a regular file, or null if there is no such file. Returns ENOSPC, ENOMEM or EIO.
  virtual Result<void> FinishAdoption(RecordFile* /*records*/,
                                      absl::FunctionRef<FileData*(InodeNumber)> /*find*/) {
    return {};
  }

  // Called before all files are destroyed and left to a successor: what they have must stay.
  virtual void Abandon() {}

  // Bytes that the data of files takes now, in whole pages.
  virtual uint64_t data_bytes() const = 0;
  // Bytes that can still be written.
  virtual uint64_t free_bytes() const = 0;
  // Sets the limit on everything that is stored. Other threads may use the store during the call,
  // but only one thread at a time may call this. During the call, never more is stored than the
  // larger of the two limits allows. Returns EINVAL if more than the new limit is used now; ENOMEM,
  // EMFILE or ENFILE. Nothing is changed if it fails.
  virtual Result<void> SetSizeLimit(uint64_t bytes) = 0;
  // Sets an upper bound on everything that is stored, for as long as it is below the size limit. It
  // may be below what is stored: nothing can be added then. Other threads may use the store during
  // the call, but only one thread at a time may call this or SetSizeLimit. A ceiling that cannot be
  // set (ENOMEM, EMFILE, ENFILE) leaves the previous one.
  virtual void SetCeiling(uint64_t /*bytes*/) {}
  // Sets whether access times are kept from now on for reads that the kernel makes without asking
  // the daemon. Returns EINVAL or EPERM.
  virtual Result<void> KeepAccessTimes(bool /*keep*/) { return {}; }
  // Releases what was reserved in advance and is not used: all of it if the argument is true, and
  // otherwise only the part that exceeds a small reserve.
  virtual void ReleaseUnused(bool /*all*/) {}
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_TREE_DATA_STORE_H_
