// Charges for tests that make inodes themselves.

#ifndef MEMFUSE_TESTS_MEMFS_CHARGE_H_
#define MEMFUSE_TESTS_MEMFS_CHARGE_H_

#include <gtest/gtest.h>

#include <cstdint>

#include "src/memfs/tree/inode.h"
#include "tests/memfs/records.h"

namespace memfuse::memfs {

// Returns a reservation of `bytes` in the account of `owner`, for the constructor of an inode.
inline Reservation ChargeFor(Resources* resources, uint64_t bytes = 0, Owner owner = {}) {
  Reservation charge;
  EXPECT_TRUE(charge.Reserve(resources->accounts.Find(owner).get(), bytes).ok());
  return charge;
}

// Returns the record of a directory, for its constructor.
inline InodeRecordHolder DirectoryRecord(Resources* resources, InodeNumber ino, InodeNumber parent,
                                         Timestamp born = {}) {
  InodeRecordHolder record = NewInodeRecord(resources->records.get(), ino, S_IFDIR, born);
  record->parent = ToInt(parent);
  return record;
}

}  // namespace memfuse::memfs

#endif  // MEMFUSE_TESTS_MEMFS_CHARGE_H_
