// Which data store a file system uses: the option --data=, and what the kernel offers.

#ifndef MEMFUSE_SRC_MEMFS_OPS_STORE_SELECTION_H_
#define MEMFUSE_SRC_MEMFS_OPS_STORE_SELECTION_H_

#include <string>

#include "absl/status/status.h"
#include "memfuse/memory_filesystem.h"
#include "src/memfs/data/passthrough_store.h"
#include "src/memfs/tree/inode.h"

namespace memfuse::memfs {

// Not thread-safe: no request is served during a call of Make, Connected or Disconnected. The other
// methods may be called after Make, but not during Connected.
class StoreSelection {
 public:
  // Both must outlive this object, which sets resources->store.
  StoreSelection(const MemoryFileSystemOptions* options, Resources* resources)
      : options_(*options), resources_(*resources) {}
  StoreSelection(const StoreSelection&) = delete;
  StoreSelection& operator=(const StoreSelection&) = delete;

  // Makes the store that the options select; for kAuto, the daemon store for now. Returns the
  // errors of DaemonStore::Make and PassthroughStore::Make.
  absl::Status Make();

  // Makes the store that the root of the records names, from `data`, which is
  // DataStore::descriptor() of the predecessor. `size_limit` is that of a private tmpfs. The
  // options that concern the store are those of that process. Returns the errors of
  // DaemonStore::Adopt and PassthroughStore::Adopt, and FailedPrecondition if the root names no
  // store. Throws std::bad_alloc.
  absl::Status Adopt(base::UniqueFd data, uint64_t size_limit);

  // As the methods of MemoryFileSystem.
  bool wants_backing_files() const;
  const std::string& description() const { return description_; }
  const std::string& options() const { return chosen_options_; }

  // As FileSystem::Connected and Disconnected. For kAuto, Connected switches to the passthrough
  // store if that works. Returns FailedPrecondition if the options require passthrough and it does
  // not work.
  absl::Status Connected(BackingFiles* backing);
  void Disconnected();

 private:
  // Sets description() and options().
  void Describe(StoreKind kind, const std::string& huge, std::string description);
  // The same, and writes to the root of the records which store was selected.
  void Selected(StoreKind kind, const std::string& huge, std::string description);

  // Makes a private tmpfs, which holds file data from then on. It is called while there are no
  // files. Returns the errors of PassthroughStore::Make.
  absl::Status UsePassthroughStore();

  const MemoryFileSystemOptions& options_;
  Resources& resources_;
  // All constant from the first request on.
  std::string description_;
  std::string chosen_options_;
  PassthroughStore* passthrough_store_ = nullptr;  // the store, if it is a PassthroughStore
  bool adopted_ = false;                           // the store has the files of another process
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_OPS_STORE_SELECTION_H_
