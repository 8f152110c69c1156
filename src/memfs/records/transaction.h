// A change of several records that takes effect as a whole, also if the process dies in the middle.
//
//   Transaction change(file);
//   change.Edit(&record->times)->mtime = now;
//   auto* entry = static_cast<EntryRecord*>(change.Allocate(bytes));
//   ... fill the entry ...
//   change.Commit();
//
// Before a record is changed, Edit() saves its present content in a journal, which is a part of the
// record file. If the process dies before Commit(), RecordFile::Open() restores what was saved. If
// Commit() was not called, the destructor does the same, so an operation that fails halfway leaves
// nothing behind.
//
// Locks. The caller holds the locks of everything that it edits, from Edit() until Commit() has
// returned or the object is destroyed. Otherwise restoring could undo the change of another thread.
// For the same reason Edit() gets exactly the part of a record that these locks guard.
//
// Order of the stores. Another process sees the stores of a thread that was killed in the order in
// which the thread made them: processors make interrupts precise, and the memory is coherent. Only
// the compiler may reorder stores, and Transaction prevents this where the order matters. The
// failure of the machine is not survived.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_TRANSACTION_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_TRANSACTION_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "src/memfs/records/layout.h"
#include "src/memfs/records/record_file.h"

namespace memfuse::memfs {

// Used by one thread.
class Transaction {
 public:
  // Takes a journal of the file. Throws std::bad_alloc if all of them are in use.
  explicit Transaction(RecordFile* file);
  // Unless Commit was called, restores what was changed and makes allocated blocks free.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Saves `*part`, which lies in a block or in the root of the file, and returns it for changes.
  // Throws std::bad_alloc if the journal is full; the caller may continue without the change.
  template <typename T>
  T* Edit(const T* part) {
    static_assert(std::is_trivially_copyable_v<T>);
    Save(part, sizeof(T));
    return const_cast<T*>(part);
  }
  // The same for `bytes` bytes.
  void Save(const void* part, size_t bytes);

  // Returns a new block, as RecordFile::Allocate does. Throws std::bad_alloc if there is no memory
  // or the journal is full.
  void* Allocate(size_t bytes);
  // Makes the block free when the transaction is committed. Nothing may refer to it from then on.
  // Throws std::bad_alloc if the journal is full.
  void Free(void* block);

  // The changes are permanent from now on. Does not fail. May be called once; nothing may be edited
  // afterwards.
  void Commit() noexcept;

 private:
  // Appends an entry with `length` bytes of data. Throws std::bad_alloc if the journal is full.
  void Append(UndoEntry::Type type, uint64_t offset, const void* data, uint32_t length);
  // Puts the blocks of the entries of this type into the lists of free blocks.
  void FreeBlocks(UndoEntry::Type type) noexcept;

  RecordFile* const file_;
  const uint32_t index_;  // of the journal
  JournalHeader* const journal_;
  bool open_ = true;
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_TRANSACTION_H_
