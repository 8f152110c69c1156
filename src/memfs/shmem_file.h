// One file of the private tmpfs.
//
// An open file is *hot*: the kernel may change size, blocks and times at any moment, so they are
// asked for each time. A closed one is cold, and what was asked last stays right; but a mapping may
// outlive the last close, and through it stores go on. Only whoever had opened the file for reading
// and writing can have one, and the store finds out whether one is left.
//
// Times. The inode's are the truth; the file's follow what the kernel does. When one of the file's
// times is another one than it was last seen, it is taken over. When the user chose times
// (utimensat), the file is given them too: what the kernel does next is told from it, and relatime
// is reckoned from the same values.
//
// Stamps. The kernel's clock ticks coarsely. A stamp that is early by less than a tick is lifted
// just above what is known to have come before: the last open for writing, and the inode's last
// change. What has not been seen yet when the inode changes came before that, not after. So an open
// file is looked at first; a closed one remembers the change before this one, since nothing more
// happens until it is opened (but through a mapping, whose stamp then may stay early).

#ifndef MEMFUSE_SRC_MEMFS_SHMEM_FILE_H_
#define MEMFUSE_SRC_MEMFS_SHMEM_FILE_H_

#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "src/base/unique_fd.h"
#include "src/memfs/file_data.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/shmem_store.h"

namespace memfuse::memfs {

class ShmemFile final : public FileData {
 public:
  // The store outlives the file.
  ShmemFile(ShmemStore* store, InodeNumber ino) : store_(store), ino_(ino) {}
  ~ShmemFile() override;

  uint64_t size() const override { return size_.load(std::memory_order_acquire); }
  uint64_t blocks() const override { return blocks_.load(std::memory_order_acquire); }
  Result<void> Open(uint32_t flags, OpenResult* open) override;
  void Close(uint32_t flags) override;
  CacheSeconds Refresh(Times* times) override;
  CacheSeconds Validity() const override { return mappers_.load() > 0 ? 0 : kCacheForever; }
  void CtimeMoves(const Times& times) override;
  void OpenedForWriting(Times* times) override;
  void TimesChanged(const Times& times, bool chosen) override;
  Result<size_t> Read(uint64_t offset, absl::Span<char> out) override;
  Result<size_t> Write(uint64_t offset, Payload data) override;
  Result<uint64_t> CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                            uint64_t length) override;
  Result<Resized> Truncate(uint64_t size) override;
  Result<void> Allocate(uint64_t offset, uint64_t length, bool keep_size) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override;
  Result<void> ZeroRange(uint64_t offset, uint64_t length, bool keep_size) override;
  Result<uint64_t> SeekData(uint64_t offset) override { return Seek(offset, SEEK_DATA); }
  Result<uint64_t> SeekHole(uint64_t offset) override { return Seek(offset, SEEK_HOLE); }

 private:
  // The file, made where there is none yet. As ShmemStore::CreateFile.
  Result<base::UniqueFd> Descriptor(int flags);
  Result<base::UniqueFd> DescriptorLocked(int flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives a backing file up; 0: none.
  void Unregister(int32_t id);
  // After a change by a call: Refresh is to look, and size() is exact before that.
  void Changed(int descriptor);
  Result<uint64_t> Seek(uint64_t offset, int whence);

  ShmemStore* const store_;
  const InodeNumber ino_;

  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> blocks_{0};
  std::atomic<uint32_t> opens_{0};    // changed under mu_
  std::atomic<uint32_t> mappers_{0};  // opens for reading and writing; changed under mu_
  DataMutex mu_;
  int32_t backing_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<bool> exists_{false};  // set under mu_, once

  // What Refresh has to look at.
  std::atomic<bool> unseen_{false};        // a change, or an open
  std::atomic<bool> maybe_mapped_{false};  // somebody who could map it for writing has closed it

  // The inode's attribute lock guards these.
  PackedTimes seen_;
  bool seen_any_ = false;
  // What nobody has seen yet came after floor_ (nanoseconds since the epoch), and after the inode's
  // ctime, unless that moved since.
  bool ctime_is_later_ = false;
  int64_t floor_ = 0;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SHMEM_FILE_H_
