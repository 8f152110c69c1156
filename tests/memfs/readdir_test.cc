// READDIR and READDIRPLUS.

#include <fcntl.h>

#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

using ::testing::ElementsAre;

class ReaddirTest : public MemFsTest {};

TEST_F(ReaddirTest, Errors) {
  Listing listing;
  EXPECT_THAT(me_.Readdir(GoneInode(), 0, false, &listing), Fails(ESTALE));
  EXPECT_THAT(me_.Readdir(Ino(me_.Mknod(kRootInode, "file")), 0, false, &listing), Fails(ENOTDIR));
  EXPECT_TRUE(listing.items.empty());
}

TEST_F(ReaddirTest, ReturnsNamesNumbersAndTypes) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber sub = Ino(me_.Mkdir(dir, "sub"));
  const InodeNumber file = Ino(me_.Mknod(dir, "file"));
  const InodeNumber fifo = Ino(me_.Mknod(dir, "fifo", S_IFIFO | 0600));
  const InodeNumber link = Ino(me_.Symlink(dir, "link", "to"));
  Listing listing;
  ASSERT_THAT(me_.Readdir(dir, 0, false, &listing), Succeeds());
  std::map<std::string, std::pair<InodeNumber, uint32_t>> seen;
  for (const Listing::Item& item : listing.items) {
    seen[item.name] = {item.ino, item.type};
    EXPECT_EQ(item.looked_up, kNoInode);
  }
  const std::map<std::string, std::pair<InodeNumber, uint32_t>> expected = {
      {".", {dir, S_IFDIR}},     {"..", {kRootInode, S_IFDIR}}, {"sub", {sub, S_IFDIR}},
      {"file", {file, S_IFREG}}, {"fifo", {fifo, S_IFIFO}},     {"link", {link, S_IFLNK}},
  };
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(listing.items.size(), expected.size());
}

TEST_F(ReaddirTest, ContinuesAfterAFullBuffer) {
  for (const char* name : {"a", "b", "c"}) ASSERT_THAT(me_.Mknod(kRootInode, name), Succeeds());
  std::vector<std::string> names;
  uint64_t offset = 0;
  for (;;) {
    Listing one(1);
    ASSERT_THAT(me_.Readdir(kRootInode, offset, false, &one), Succeeds());
    if (one.items.empty()) break;
    names.push_back(one.items[0].name);
    offset = one.items[0].next_offset;
  }
  EXPECT_THAT(names, ElementsAre(".", "..", "c", "b", "a"));
  Listing none(0);
  ASSERT_THAT(me_.Readdir(kRootInode, 0, true, &none), Succeeds());
  EXPECT_TRUE(none.items.empty());
}

TEST_F(ReaddirTest, PlusGivesALookupForEachEntryButTheDots) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber a = Ino(me_.Mknod(dir, "a"));
  const InodeNumber b = Ino(me_.Mknod(dir, "b"));
  me_.Forget(a);
  me_.Forget(b);
  Listing full(3);  // ".", ".." and "b": "a" does not fit and gets no lookup
  ASSERT_THAT(me_.Readdir(dir, 0, true, &full), Succeeds());
  ASSERT_THAT(full.Names(), ElementsAre(".", "..", "b"));
  EXPECT_EQ(full.items[0].looked_up, kNoInode);
  EXPECT_EQ(full.items[1].looked_up, kNoInode);
  EXPECT_EQ(full.items[2].looked_up, b);
  for (const char* name : {"a", "b"}) ASSERT_THAT(me_.Unlink(dir, name), Succeeds());
  ASSERT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
  me_.Forget(dir);
  EXPECT_THAT(me_.Getattr(dir), Fails(ESTALE));
  EXPECT_THAT(me_.Getattr(a), Fails(ESTALE));
  EXPECT_THAT(me_.Getattr(b), Succeeds());
  me_.Forget(b);
  ExpectEmpty();
}

// Whether READDIRPLUS returns attributes for the only entry of `dir`.
bool Describes(const Caller& caller, InodeNumber dir) {
  Listing listing;
  EXPECT_THAT(caller.Readdir(dir, 0, true, &listing), Succeeds());
  EXPECT_EQ(listing.items.size(), 3u);
  const InodeNumber described = listing.items.back().looked_up;
  if (described != kNoInode) caller.Forget(described);
  return described != kNoInode;
}

TEST_F(ReaddirTest, PlusOmitsAttributesWithKernelAttrsValid) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber file = Ino(me_.Mknod(dir, "file"));
  EXPECT_FALSE(Describes(me_, dir));
  // Each operation makes the kernel drop its attributes of the inode. The next READDIRPLUS returns
  // them.
  const std::vector<std::function<void()>> changes = {
      [&] {
        ASSERT_THAT(me_.Open(file, O_WRONLY), Succeeds());
        ASSERT_THAT(me_.Write(file, 0, "data"), Succeeds());
        ASSERT_THAT(me_.Release(file), Succeeds());
      },
      [&] {
        ASSERT_THAT(me_.Open(file, O_RDONLY), Succeeds());
        ASSERT_THAT(me_.Release(file), Succeeds());
      },
      [&] { ASSERT_THAT(me_.Setxattr(file, "user.x", "y"), Succeeds()); },
      [&] { ASSERT_THAT(me_.Removexattr(file, "user.x"), Succeeds()); },
      [&] { ASSERT_THAT(me_.Rename(dir, "file", dir, "name"), Succeeds()); },
      [&] {
        ASSERT_THAT(me_.Link(file, kRootInode, "other"), Succeeds());
        ASSERT_THAT(me_.Unlink(kRootInode, "other"), Succeeds());
        me_.Forget(file);
      },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    changes[i]();
    EXPECT_TRUE(Describes(me_, dir)) << i;
    EXPECT_FALSE(Describes(me_, dir)) << i;
  }
  // An open file changes without a request, until its attributes are set.
  ASSERT_THAT(me_.Open(file, O_WRONLY), Succeeds());
  ASSERT_THAT(me_.Getattr(file), Succeeds());
  EXPECT_TRUE(Describes(me_, dir));
  EXPECT_TRUE(Describes(me_, dir));
  ASSERT_THAT(me_.Chmod(file, 0640), Succeeds());
  EXPECT_FALSE(Describes(me_, dir));
  ASSERT_THAT(me_.Release(file), Succeeds());
  EXPECT_FALSE(Describes(me_, dir));
  // The kernel may have the attributes of a file with two names through the other name.
  ASSERT_THAT(me_.Link(file, kRootInode, "other"), Succeeds());
  ASSERT_THAT(me_.Getattr(file), Succeeds());
  EXPECT_TRUE(Describes(me_, dir));
  EXPECT_TRUE(Describes(me_, dir));
}

TEST_F(ReaddirTest, PlusReturnsAttributesAfterADirectoryWasListedOrChanged) {
  const InodeNumber dir = Ino(me_.Mkdir(kRootInode, "dir"));
  const InodeNumber sub = Ino(me_.Mkdir(dir, "sub"));
  EXPECT_FALSE(Describes(me_, dir));
  ASSERT_THAT(me_.Chmod(sub, 0700), Succeeds());
  EXPECT_TRUE(Describes(me_, dir));
  EXPECT_FALSE(Describes(me_, dir));
  Listing listing;
  ASSERT_THAT(me_.Readdir(sub, 0, false, &listing), Succeeds());
  EXPECT_TRUE(Describes(me_, dir));
  EXPECT_FALSE(Describes(me_, dir));
  ASSERT_THAT(me_.Mknod(sub, "file"), Succeeds());
  EXPECT_TRUE(Describes(me_, dir));
  EXPECT_FALSE(Describes(me_, dir));
}

TEST_F(ReaddirTest, WithoutPlusNoLookupIsCounted) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  Listing listing;
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &listing), Succeeds());
  ASSERT_THAT(me_.Unlink(kRootInode, "file"), Succeeds());
  me_.Forget(file);
  ExpectEmpty();
}

TEST_F(ReaddirTest, DotDotFollowsAMove) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(kRootInode, "b"));
  ASSERT_THAT(me_.Rename(kRootInode, "b", a, "b"), Succeeds());
  Listing listing;
  ASSERT_THAT(me_.Readdir(b, 0, false, &listing), Succeeds());
  ASSERT_THAT(listing.Names(), ElementsAre(".", ".."));
  EXPECT_EQ(listing.items[1].ino, a);
}

TEST_F(ReaddirTest, NewEntriesShowAfterRewinding) {
  ASSERT_THAT(me_.Mknod(kRootInode, "old"), Succeeds());
  Listing before;
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &before), Succeeds());
  ASSERT_THAT(me_.Mknod(kRootInode, "new"), Succeeds());
  Listing rest;
  ASSERT_THAT(me_.Readdir(kRootInode, before.items.back().next_offset, false, &rest), Succeeds());
  EXPECT_THAT(rest.Names(), ElementsAre());
  Listing again;
  ASSERT_THAT(me_.Readdir(kRootInode, 0, false, &again), Succeeds());
  EXPECT_THAT(again.Names(), ElementsAre(".", "..", "new", "old"));
}

// Each step renames the delivered entry or makes two new ones. The listing ends with the entries
// that existed when it began.
TEST_F(ReaddirTest, AListingEndsWhileEntriesAreRenamedAndMade) {
  constexpr int kEntries = 50;
  for (const bool rename : {true, false}) {
    const InodeNumber dir = Ino(me_.Mkdir(kRootInode, rename ? "rename" : "make"));
    for (int i = 0; i < kEntries; ++i) {
      ASSERT_THAT(me_.Mknod(dir, std::to_string(i)), Succeeds());
    }
    std::set<std::string> seen;
    uint64_t offset = 0;
    for (int step = 0;; ++step) {
      ASSERT_LE(step, kEntries + 2);
      Listing one(1);
      ASSERT_THAT(me_.Readdir(dir, offset, false, &one), Succeeds());
      if (one.items.empty()) break;
      offset = one.items[0].next_offset;
      const std::string name = one.items[0].name;
      EXPECT_TRUE(seen.insert(name).second) << name;
      if (name == "." || name == "..") continue;
      if (rename) {
        ASSERT_THAT(me_.Rename(dir, name, dir, "temporary"), Succeeds());
        ASSERT_THAT(me_.Rename(dir, "temporary", dir, name), Succeeds());
      } else {
        ASSERT_THAT(me_.Mknod(dir, name + "~"), Succeeds());
        ASSERT_THAT(me_.Mknod(dir, name + "~~"), Succeeds());
      }
    }
    EXPECT_EQ(seen.size(), size_t{kEntries} + 2);
  }
}

// A listing with a small buffer while entries are made and removed, also under reused names. Each
// lasting entry is delivered once, and cookies only decrease.
TEST_F(ReaddirTest, LastingEntriesAreDeliveredOnce) {
  for (const unsigned seed : {1u, 2u, 3u, 4u}) {
    std::mt19937 random(seed);
    const InodeNumber dir = Ino(me_.Mkdir(kRootInode, std::to_string(seed)));
    const auto lasting = [](int i) { return "lasting-" + std::to_string(i); };
    const auto passing = [&] { return "passing-" + std::to_string(random() % 60); };
    for (int i = 0; i < 60; ++i) {
      ASSERT_THAT(me_.Mknod(dir, lasting(i)), Succeeds());
      (void)me_.Mknod(dir, passing());
    }
    std::map<std::string, int> seen;
    uint64_t offset = 0;
    uint64_t last_cookie = ~uint64_t{0};
    for (;;) {
      Listing piece(1 + random() % 5);
      ASSERT_THAT(me_.Readdir(dir, offset, random() % 2 == 0, &piece), Succeeds());
      if (piece.items.empty()) break;
      for (const Listing::Item& item : piece.items) {
        offset = item.next_offset;
        if (offset >= kFirstCookie) {
          EXPECT_LT(offset, last_cookie);
          last_cookie = offset;
        }
        ++seen[item.name];
      }
      for (int i = 0; i < 3; ++i) (void)me_.Mknod(dir, passing());
      for (int i = 0; i < 3; ++i) (void)me_.Unlink(dir, passing());
      if (random() % 4 == 0) (void)me_.Rename(dir, passing(), dir, passing());
    }
    for (int i = 0; i < 60; ++i) EXPECT_EQ(seen[lasting(i)], 1) << i;
    EXPECT_EQ(seen["."], 1);
    EXPECT_EQ(seen[".."], 1);
  }
}

}  // namespace
}  // namespace memfuse::memfs
