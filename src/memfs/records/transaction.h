// A change of several records that takes effect as a whole, also if the process dies in the middle.
//
//   MutexLock lock(&inode->mu);
//   Transaction change(file);
//   change.Edit(&record->times)->mtime = now;
//   change.Publish(&entry->header, kDentryKind);  // a block that was just filled
//   change.Commit();
//
// Before a record is changed, Edit() saves its present content in a journal, which is a part of the
// record file. If the process dies before Commit(), RecordFile::Open() restores what was saved. If
// Commit() was not called, the destructor does the same. Only the record file is restored: tables
// and charges in the heap change after the last step that can fail.
//
// Locks. The caller holds the locks of everything that it edits, from Edit() until Commit() has
// returned or the object is destroyed. Otherwise restoring could undo the change of another thread.
// For the same reason Edit() gets a part of a record that these locks guard as a whole.
//
// Order of the stores. Another process sees the stores of a thread that was killed in the order in
// which the thread made them: processors make interrupts precise, and the memory is coherent. Only
// the compiler may reorder stores, and Transaction prevents this where the order matters. The
// failure of the machine is not survived.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_TRANSACTION_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_TRANSACTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "src/memfs/records/layout.h"
#include "src/memfs/records/record_file.h"

namespace memfuse::memfs {

// Used by one thread, which has at most one at a time.
class Transaction {
 public:
  // Takes a journal of the file, and waits until a thread releases one if there is none. Requires:
  // the caller holds no leaf (lock_order.h), and already holds all other locks that it needs until
  // the destructor.
  explicit Transaction(RecordFile* file) noexcept;
  // Unless Commit was called, restores what was changed.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Saves `*part`, which lies in a block or in the root of the file, and returns it for changes.
  // Throws std::bad_alloc if the journal is full.
  template <typename T>
  T* Edit(const T* part) {
    static_assert(std::is_trivially_copyable_v<T>);
    Save(part, sizeof(T));
    return const_cast<T*>(part);
  }
  // The same for `bytes` bytes.
  void Save(const void* part, size_t bytes);

  // Gives a block that was filled its kind.
  void Publish(BlockHeader* block, BlockKind kind) { Edit(block)->kind = kind; }
  // Removes a block: makes its kind kFree, and frees it when the transaction is committed. No table
  // of the process refers to it at that time. At most kMaxRemoved blocks. Throws std::bad_alloc if
  // the journal is full.
  void Remove(BlockHeader* block);
  static constexpr size_t kMaxRemoved = 8;

  // The changes are permanent from now on. Does not fail. May be called once; nothing may be edited
  // afterwards.
  void Commit() noexcept;
  // The same for the last change of a request. If the calling thread has a RequestScope, the
  // request is completed from now on, with this result (request_scope.h).
  void CommitRequest(uint64_t result = 0) noexcept;

 private:
  RecordFile* const file_;
  const uint32_t index_;  // of the journal
  JournalHeader* const journal_;
  size_t removed_count_ = 0;
  std::array<BlockHeader*, kMaxRemoved> removed_;  // the first removed_count_ elements are set
};

// Restores what the transaction of a journal had changed, the latest change first, and ends it.
// `base` is the address of the file. If the process dies during the call, another process may call
// it again. An entry that is not within the journal or the file ends the list of entries.
void Undo(JournalHeader* journal, char* base);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_TRANSACTION_H_
