// A DirectorySink that stores its entries.

#ifndef MEMFUSE_TESTS_TESTING_LISTING_H_
#define MEMFUSE_TESTS_TESTING_LISTING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "memfuse/filesystem.h"

namespace memfuse::test {

class Listing final : public DirectorySink {
 public:
  struct Item {
    std::string name;
    InodeNumber ino;
    uint32_t type;
    uint64_t next_offset;
    InodeNumber looked_up;  // kNoInode if the entry has no lookup
  };

  // Accepts `capacity` entries before it is full.
  explicit Listing(size_t capacity = SIZE_MAX) : capacity_(capacity) {}

  bool HasRoomFor(std::string_view) const override { return items.size() < capacity_; }
  void Add(const DirectoryEntry& entry) override {
    const InodeNumber looked_up = entry.entry == nullptr ? kNoInode : entry.entry->ino;
    items.push_back({std::string(entry.name), entry.ino, entry.type, entry.next_offset, looked_up});
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const Item& item : items) names.push_back(item.name);
    return names;
  }

  std::vector<Item> items;

 private:
  const size_t capacity_;
};

}  // namespace memfuse::test

#endif  // MEMFUSE_TESTS_TESTING_LISTING_H_
