// A store that discards file data (--data=null): a file has a size, writes are discarded, and reads
// return zeros. What remains is the cost of the transport; the store is used to measure it.

#ifndef MEMFUSE_SRC_MEMFS_DATA_NULL_STORE_H_
#define MEMFUSE_SRC_MEMFS_DATA_NULL_STORE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "src/memfs/space/budget.h"
#include "src/memfs/tree/data_store.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// There is no lock, because the size is atomic.
class NullFile final : public FileData {
 public:
  NullFile(Account* /*account*/, InodeRecord* record) : record_(record) {}

  uint64_t size() const override { return __atomic_load_n(&record_->size, __ATOMIC_RELAXED); }
  uint64_t blocks() const override { return 0; }

  Result<void> WithFixedCharges(absl::FunctionRef<Result<void>()> body) override { return body(); }
  uint64_t ChargedBytes() const override { return 0; }
  uint64_t CurrentCharge() const override { return 0; }
  void SetAccount(Account* /*account*/) override {}
  // The kernel caches nothing: each read and write is a request.
  Result<void> Open(uint32_t, FileOpen* open) override {
    open->direct_io = true;
    open->parallel_direct_writes = true;
    return {};
  }
  void Close(uint32_t) override {}

  Result<size_t> Read(uint64_t offset, absl::Span<char> out) override {
    const uint64_t end = size();
    const auto count =
        static_cast<size_t>(offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset));
    std::memset(out.data(), 0, count);
    return count;
  }
  Result<size_t> WriteAndStamp(uint64_t offset, absl::Span<const char> data,
                               std::optional<Timestamp>* /*time*/) override {
    if (EndsTooFar(offset, data.size())) return Errno(EFBIG);
    Extend(offset + data.size());
    return data.size();
  }
  Result<uint64_t> CopyFrom(FileData*, uint64_t, uint64_t offset_out, uint64_t length) override {
    Extend(offset_out + length);
    return length;
  }
  Result<Resized> Truncate(uint64_t size) override {
    if (size > kMaxFileSize) return Errno(EFBIG);
    return Resized{__atomic_exchange_n(&record_->size, size, __ATOMIC_RELAXED) != size, false};
  }
  Result<void> Allocate(uint64_t offset, uint64_t length, bool keep_size) override {
    if (EndsTooFar(offset, length)) return Errno(EFBIG);
    if (!keep_size) Extend(offset + length);
    return {};
  }
  Result<void> PunchHole(uint64_t, uint64_t) override { return {}; }
  Result<void> ZeroRange(uint64_t offset, uint64_t length, bool keep_size) override {
    return Allocate(offset, length, keep_size);
  }
  Result<uint64_t> SeekData(uint64_t) override { return Errno(ENXIO); }
  Result<uint64_t> SeekHole(uint64_t offset) override {
    if (offset >= size()) return Errno(ENXIO);
    return offset;
  }

 private:
  void Extend(uint64_t end) {
    uint64_t now = size();
    while (now < end && !__atomic_compare_exchange_n(&record_->size, &now, end, /*weak=*/true,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }

  InodeRecord* const record_;
};

class NullStore final : public DataStore {
 public:
  explicit NullStore(Budget* budget) : budget_(budget) {}

  RegularFile* NewRegularFile(Resources* resources, InodeRecordHolder record,
                              Reservation charge) override {
    return new FileOf<NullFile>(resources, std::move(record), std::move(charge));
  }
  uint32_t file_cost() const override { return sizeof(FileOf<NullFile>); }
  uint64_t data_bytes() const override { return 0; }
  uint64_t free_bytes() const override { return budget_->bytes_free(); }
  Result<void> SetSizeLimit(uint64_t bytes) override {
    if (!budget_->SetByteLimit(bytes)) return Errno(EINVAL);
    return {};
  }
  void SetCeiling(uint64_t bytes) override { budget_->SetCeiling(bytes); }

 private:
  Budget* const budget_;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_DATA_NULL_STORE_H_
