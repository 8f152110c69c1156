// One file of the private tmpfs.
//
// While it is open, the kernel may change its size, blocks and times at any moment; a mapping may
// do so after the last close. backing_times.h says when the daemon has to look.
//
// An open with O_APPEND is answered with the backing file and FOPEN_DIRECT_IO: mmap(2) stays passed
// through, but reads and writes are requests. The kernel opens the backing file with the flags of
// open(2), and F_SETFL does not reach it: passed-through writes would go on appending after a
// program took O_APPEND away.
// The kernel must not cache what it reads for such an open (splice(2) and sendfile(2) read through
// the page cache): it would not hear of writes that are passed through.

#ifndef MEMFUSE_SRC_MEMFS_PASSTHROUGH_FILE_H_
#define MEMFUSE_SRC_MEMFS_PASSTHROUGH_FILE_H_

#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "src/base/unique_fd.h"
#include "src/memfs/backing_times.h"
#include "src/memfs/file_data.h"
#include "src/memfs/lock_order.h"
#include "src/memfs/passthrough_store.h"

namespace memfuse::memfs {

class PassthroughFile final : public FileData {
 public:
  // The store outlives the file.
  PassthroughFile(PassthroughStore* store, InodeNumber ino) : store_(store), ino_(ino) {}
  ~PassthroughFile() override;

  uint64_t size() const override { return size_.load(std::memory_order_acquire); }
  uint64_t blocks() const override { return blocks_.load(std::memory_order_acquire); }
  Result<void> Open(uint32_t flags, OpenResult* open) override;
  void Close(uint32_t flags) override;
  CacheSeconds SyncFromBackingFile(Times* times) override;
  CacheSeconds Validity() const override { return state_.Validity(); }
  void SetBackingTimes(const Times& times, bool chosen) override;
  Result<size_t> Read(uint64_t offset, absl::Span<char> out) override;
  Result<size_t> ReadTo(uint64_t offset, ReadSink* sink, bool to_page_cache) override;
  Result<size_t> WriteAndStamp(uint64_t offset, Payload data,
                               std::optional<Timestamp>* time) override;
  Result<uint64_t> CopyFrom(FileData* source, uint64_t offset_in, uint64_t offset_out,
                            uint64_t length) override;
  Result<Resized> Truncate(uint64_t size) override;
  Result<void> Allocate(uint64_t offset, uint64_t length, bool keep_size) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override;
  Result<void> ZeroRange(uint64_t offset, uint64_t length, bool keep_size) override;
  Result<uint64_t> SeekData(uint64_t offset) override { return Seek(offset, SEEK_DATA); }
  Result<uint64_t> SeekHole(uint64_t offset) override { return Seek(offset, SEEK_HOLE); }

 private:
  // The file, made where there is none yet. As PassthroughStore::CreateFile.
  Result<base::UniqueFd> Descriptor(int flags);
  Result<base::UniqueFd> DescriptorLocked(int flags) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives a backing file up; 0: none.
  void Unregister(int32_t id);
  // After a change by a call: the next SyncFromBackingFile has to look, and size() and blocks() are
  // exact before that.
  void Changed(int descriptor);
  Result<uint64_t> Seek(uint64_t offset, int whence);

  PassthroughStore* const store_;
  const InodeNumber ino_;

  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> blocks_{0};
  BackingTimes state_;  // opens and closes are noted under mu_; else as it says
  DataMutex mu_;
  int32_t backing_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<bool> exists_{false};  // set under mu_, once
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_PASSTHROUGH_FILE_H_
