// The file system under test, and its return to the empty state.

#ifndef MEMFUSE_TESTS_FUZZ_SERVER_H_
#define MEMFUSE_TESTS_FUZZ_SERVER_H_

#include <memory>

#include "absl/types/span.h"
#include "memfuse/memory_filesystem.h"
#include "tests/fuzz/memory_channel.h"

namespace memfuse::fuzz {

// A file system with small limits, which the next script uses again if the previous one left
// nothing behind: making one takes longer than most scripts.
class Server {
 public:
  // `writeback`: the kernel collects writes, and every access moves the access time, but not that
  // of directories. `huge_pages`: large reads are answered from a mapping of the data, if the
  // system permits huge pages to this user.
  Server(bool writeback, bool huge_pages);
  // Destroys the file system with all its content.
  ~Server();

  MemoryFileSystem* fs() { return fs_.get(); }

  // Removes all names, returns the opens and lookups of the workers, and undoes changes of the root
  // and of the limits. Ends the fuzzer if something is left: an inode, a page, or a reservation.
  // `exact`: the workers hold exactly what is listed; otherwise, they hold at most that.
  void Empty(absl::Span<const Held* const> workers, bool exact);
  // Undoes a change that Empty does not undo, because it is rare and takes long.
  void KeepAccessTimes();

 private:
  void RemoveNames(InodeNumber directory);
  void ClearFlags(InodeNumber ino);
  void ResetRoot();
  void ExpectEmpty();

  const std::unique_ptr<MemoryFileSystem> fs_;
  MemoryFileSystemUsage empty_usage_;
  FileSystemStatistics empty_statistics_;
};

}  // namespace memfuse::fuzz

#endif  // MEMFUSE_TESTS_FUZZ_SERVER_H_
