#include "src/memfs/tree/make_inode.h"

#include <sys/stat.h>

#include <utility>

#include "src/memfs/tree/directory.h"

namespace memfuse::memfs {

uint32_t InodeCost(uint32_t file_type, size_t target_size, const DataStore* store) {
  constexpr uint32_t kTableSlot = 32;
  const auto record =
      static_cast<uint32_t>(RecordFile::BlockBytes(sizeof(InodeRecord) + target_size));
  switch (file_type) {
    case S_IFREG:
      return store->file_cost() + record + kTableSlot;
    case S_IFDIR:
      return sizeof(Directory) + record + kTableSlot;
    default:
      return sizeof(Inode) + record + kTableSlot;
  }
}

Inode* MakeInode(Resources* resources, InodeRecordHolder record, Reservation charge) {
  switch (record->type) {
    case S_IFREG:
      return resources->store->NewRegularFile(resources, std::move(record), std::move(charge));
    case S_IFDIR:
      return new Directory(resources, std::move(record), std::move(charge));
    default:
      return new Inode(resources, std::move(record), std::move(charge));
  }
}

}  // namespace memfuse::memfs
