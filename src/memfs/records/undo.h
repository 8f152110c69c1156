// The entries of a journal, and how a transaction ends.

#ifndef MEMFUSE_SRC_MEMFS_RECORDS_UNDO_H_
#define MEMFUSE_SRC_MEMFS_RECORDS_UNDO_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "src/memfs/records/layout.h"

namespace memfuse::memfs {

// The size of an entry with `length` bytes of data.
inline uint32_t EntryBytes(uint32_t length) {
  return static_cast<uint32_t>(sizeof(UndoEntry)) + (length + 7) / 8 * 8;
}

inline char* EntriesOf(JournalHeader* journal) {
  return reinterpret_cast<char*>(journal) + kUndoOffset;
}

// Calls `visit` with each entry of the journal and its data, in the order in which they were
// appended. Ends at an entry that is not within the journal.
void ForEachEntry(JournalHeader* journal,
                  absl::FunctionRef<void(const UndoEntry& entry, const char* data)> visit);

// Ends the transaction of the journal: applies the entries of an open transaction in reverse order,
// makes the blocks of a committed one free, and makes the journal idle. Does nothing for an idle
// journal. `base` is the address of the file. If the process dies during the call, another process
// may call it again.
void EndTransactionOf(JournalHeader* journal, char* base);

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_RECORDS_UNDO_H_
