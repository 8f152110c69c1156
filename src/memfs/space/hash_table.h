// A hash set that stays valid when it fails to grow.
//
// absl::flat_hash_set (at least in release 20220623) sets its new capacity before it allocates the
// new array. After std::bad_alloc in a rehash, the table is read out of bounds. This set never lets
// Abseil rehash a table that contains an element. It counts how many insertions reserve() still
// permits. When there are none left, it makes a second table, moves the elements there, which
// cannot fail, and swaps the tables.
//
// Cost. A table of `size` elements is replaced after at least size / 4 insertions, also when
// elements are erased in between, so insertions take amortised constant time. Tables grow through
// 1, 3, 7, 14, 28, ... places, as Abseil's own tables do.

#ifndef MEMFUSE_SRC_MEMFS_SPACE_HASH_TABLE_H_
#define MEMFUSE_SRC_MEMFS_SPACE_HASH_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace memfuse::memfs {

// Not thread-safe. Hash and Eq must not throw.
template <typename Value, typename Hash, typename Eq>
class GrowSafeHashSet {
  using Table = absl::flat_hash_set<Value, Hash, Eq>;
  static_assert(std::is_nothrow_move_constructible_v<Value>);

 public:
  using const_iterator = typename Table::const_iterator;

  template <typename Key>
  const_iterator find(const Key& key) const {
    return table_.find(key);
  }
  template <typename Key>
  bool contains(const Key& key) const {
    return table_.contains(key);
  }
  const_iterator begin() const { return table_.begin(); }
  const_iterator end() const { return table_.end(); }
  size_t size() const { return table_.size(); }
  bool empty() const { return table_.empty(); }
  size_t capacity() const { return table_.capacity(); }

  // Precondition: the set contains no equal element. Throws std::bad_alloc, and nothing is changed
  // then.
  void Insert(Value value) {
    if (left_ == 0) Rebuild();
    table_.insert(std::move(value));
    --left_;
  }

  // Releases memory if most of the table is unused and there is memory for a smaller table.
  // Iterators become invalid.
  void Erase(const_iterator it) noexcept {
    table_.erase(it);
    if (table_.empty()) {
      Clear();
    } else if (table_.capacity() > kMinCapacity && table_.size() < table_.capacity() / 16) {
      try {
        Rebuild();
      } catch (const std::bad_alloc&) {
        // The large table stays in use.
      }
    }
  }

  void Clear() noexcept {
    Table().swap(table_);
    left_ = 0;
  }

  void swap(GrowSafeHashSet& other) noexcept {
    table_.swap(other.table_);
    std::swap(left_, other.left_);
  }

 private:
  // Smaller tables are not worth shrinking.
  static constexpr size_t kMinCapacity = 64;

  // A table whose reserve() threw std::bad_alloc holds no memory. It must not be destroyed, because
  // its capacity is already that of the array that could not be allocated.
  union NewTable {
    NewTable() : table() {}
    ~NewTable() {}
    Table table;
  };

  // Returns the smallest of 1, 3, 7, 14, 28, ... that is not below `least`.
  static size_t PlacesFor(size_t least) {
    size_t places = 1;
    while (places < least) places = places < 7 ? 2 * places + 1 : 2 * places;
    return places;
  }

  // Strong exception guarantee.
  void Rebuild() {
    const size_t size = table_.size();
    const size_t places = PlacesFor(size + std::max<size_t>(size / 4, 1));
    NewTable made;
    // After this call, `places` insertions do not allocate, also with erasures in between.
    made.table.reserve(places);
    made.table.merge(table_);
    made.table.swap(table_);
    made.table.~Table();
    left_ = places - size;
  }

  Table table_;
  size_t left_ = 0;  // number of insertions that certainly do not allocate
};

}  // namespace memfuse::memfs

#endif  // MEMFUSE_SRC_MEMFS_SPACE_HASH_TABLE_H_
