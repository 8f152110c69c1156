// Frees the data of large files that nothing keeps any more, in a thread of its own.
//
// To free a gigabyte takes a tenth of a second, in which the thread that happens to drop the last
// count would serve nobody. And a tmpfs gives a removed file's space back only when the last page
// of it is freed; so data goes piece by piece, and who waits for space finds some soon.

#ifndef MEMFUSE_SRC_MEMFS_REAPER_H_
#define MEMFUSE_SRC_MEMFS_REAPER_H_

#include <semaphore.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "src/memfs/inode.h"
#include "src/memfs/lock_order.h"

namespace memfuse::memfs {

// All methods from any thread; Start and Stop from one at a time.
class Reaper {
 public:
  // Files with less data are freed faster than handed over. Bytes.
  static constexpr uint64_t kLarge = 4 << 20;

  Reaper();
  ~Reaper();

  // Before the first Take. Where there is no thread to be had, nothing is taken.
  void Start();
  // After the last Take. What is left is freed by the caller.
  void Stop();

  // Takes a count on `file`, which is dead; the caller lets go of its own without freeing the data.
  // False: it is not large, or there is no thread. Without locks.
  bool Take(const base::RefPtr<Inode>& file);

  // Bytes that are still to be freed.
  uint64_t bytes() const { return bytes_.load(); }

  // Files are freed in the order in which they were taken: file number n is when finished() >= n.
  uint64_t taken() const { return taken_.load(); }
  uint64_t finished() const { return finished_.load(); }

 private:
  struct Entry {
    base::RefPtr<RegularFile> file;
    uint64_t bytes = 0;  // of bytes_
  };

  void Run();
  // False: there is none.
  bool Next(Entry* entry) ABSL_LOCKS_EXCLUDED(mu_);
  void Free(Entry* entry);

  sem_t work_;  // own synchronisation; one for each entry, and one for the end
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> taken_{0};
  std::atomic<uint64_t> finished_{0};
  LeafMutex mu_;
  // As many as there are large files within the limit on bytes, at most.
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;  // constant from Start to Stop
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_REAPER_H_
