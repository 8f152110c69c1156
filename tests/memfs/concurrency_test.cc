// Many threads in one small tree. Afterwards it must be a tree with correct counts, and nothing may
// be lost.

#include <linux/fs.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

// Runs random operations on behalf of one thread, and records the lookups and opens that it
// received.
class RandomClient {
 public:
  RandomClient(MemFs* fs, unsigned seed) : fs_(*fs), me_(fs), random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) Step();
  }

  void GiveEverythingBack() {
    for (const InodeNumber ino : opens_) (void)me_.Release(ino);
    for (const auto& [ino, count] : lookups_) me_.Forget(ino, count);
  }

 private:
  std::string Name() { return std::string(1, static_cast<char>('a' + random_() % 5)); }

  template <typename T>
  bool Keep(const Result<T>& result) {
    if (result.ok()) Count(EntryOf(*result).ino);
    return result.ok();
  }
  static const Entry& EntryOf(const Entry& entry) { return entry; }
  static const Entry& EntryOf(const CreateResult& made) { return made.entry; }
  void Count(InodeNumber ino) {
    ++lookups_[ino];
    known_.push_back(ino);
    if (known_.size() > 50) known_.erase(known_.begin());
  }

  // Finds a directory by walking down from the root along random names.
  InodeNumber Directory() {
    InodeNumber at = kRootInode;
    for (uint64_t depth = random_() % 5; depth > 0; --depth) {
      const Result<Entry> next = me_.Lookup(at, Name());
      if (!Keep(next) || (next->attributes.mode & S_IFMT) != S_IFDIR) break;
      at = next->ino;
    }
    return at;
  }
  uint32_t AnyId() { return static_cast<uint32_t>(random_() % 4); }
  InodeNumber Known() { return known_.empty() ? kRootInode : known_[random_() % known_.size()]; }

  void Step() {
    switch (random_() % 19) {
      case 0:
      case 1:
        Keep(me_.Mkdir(Directory(), Name()));
        break;
      case 2:
        Keep(me_.Mknod(Directory(), Name()));
        break;
      case 3: {
        const Result<CreateResult> made = me_.Create(Directory(), Name());
        if (Keep(made)) opens_.push_back(made->entry.ino);
        break;
      }
      case 4:
        (void)me_.Unlink(Directory(), Name());
        break;
      case 5:
        (void)me_.Rmdir(Directory(), Name());
        break;
      case 6:
        Keep(me_.Link(Known(), Directory(), Name()));
        break;
      case 7:
      case 8:
      case 9:
        Rename();
        break;
      case 10:
        List();
        break;
      case 11:
        (void)me_.Write(Known(), random_() % 5000, std::string(random_() % 9000, 'x'));
        break;
      case 12:
        (void)me_.Truncate(Known(), random_() % 9000);
        break;
      case 13:
        (void)me_.Read(Known(), 0, 5000);
        (void)me_.Getattr(Known());
        Keep(me_.Lookup(Known(), "."));
        Keep(me_.Lookup(Known(), ".."));
        break;
      case 14:
        TmpfileWithName();
        break;
      case 15:
        (void)me_.Chown(Known(), AnyId(), AnyId());
        break;
      case 16: {
        const InodeNumber ino = Known();
        if (ino == kRootInode) break;  // its attributes would stay when everything is removed
        if (random_() % 2 == 0) {
          (void)me_.Setxattr(ino, "user." + Name(), std::string(random_() % 500, 'v'));
        } else {
          (void)me_.Removexattr(ino, "user." + Name());
        }
        break;
      }
      case 17:
        LimitTree();
        break;
      default:
        GiveSomeBack();
    }
  }

  void LimitTree() {
    QuotaRule rule;
    rule.kind = QuotaKind::kTree;
    for (uint64_t depth = 1 + random_() % 2; depth > 0; --depth) rule.path += "/" + Name();
    if (random_() % 2 == 0) rule.bytes = random_() % 200'000;
    if (random_() % 4 == 0) rule.inodes = random_() % 20;
    (void)fs_.SetQuota(rule);
  }

  void Rename() {
    static constexpr uint32_t kFlags[] = {
        0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE, RENAME_WHITEOUT};
    const InodeNumber from = Directory();
    const InodeNumber to = random_() % 3 == 0 ? from : Directory();
    (void)me_.Rename(from, Name(), to, Name(), kFlags[random_() % 6]);
  }

  void List() {
    Listing listing(random_() % 8);
    if (!me_.Readdir(Directory(), random_() % 2 * 2, /*plus=*/true, &listing).ok()) return;
    for (const Listing::Item& item : listing.items) {
      if (item.looked_up != kNoInode) Count(item.looked_up);
    }
  }

  void TmpfileWithName() {
    const Result<CreateResult> made = me_.Tmpfile(Directory());
    if (!Keep(made)) return;
    if (random_() % 2 == 0) Keep(me_.Link(made->entry.ino, Directory(), Name()));
    (void)me_.Release(made->entry.ino);
  }

  void GiveSomeBack() {
    if (!lookups_.empty()) {
      const auto it = lookups_.lower_bound(Known());
      const auto victim = it == lookups_.end() ? lookups_.begin() : it;
      me_.Forget(victim->first, victim->second);
      lookups_.erase(victim);
    }
    if (!opens_.empty()) {
      (void)me_.Release(opens_.back());
      opens_.pop_back();
    }
  }

  MemFs& fs_;
  const Caller me_;
  std::mt19937_64 random_;
  std::map<InodeNumber, uint64_t> lookups_;
  std::vector<InodeNumber> opens_;
  std::vector<InodeNumber> known_;
};

// Walks all reachable inodes, checks them, and removes them.
class TreeCheck {
 public:
  explicit TreeCheck(MemFs* fs) : me_(fs) {}

  void Check() {
    Visit(kRootInode, kRootInode);
    for (const auto& [ino, names] : names_) {
      EXPECT_EQ(Must(me_.Getattr(ino)).attributes.nlink, names) << ToInt(ino);
    }
  }
  // Inodes with a name, the root included.
  uint64_t inodes() const { return directories_.size() + names_.size(); }

  void RemoveAll(InodeNumber directory = kRootInode) {
    Listing listing;
    ASSERT_THAT(me_.Readdir(directory, 2, false, &listing), Succeeds());
    for (const Listing::Item& item : listing.items) {
      if (item.type != S_IFDIR) {
        ASSERT_THAT(me_.Unlink(directory, item.name), Succeeds());
        continue;
      }
      RemoveAll(item.ino);
      ASSERT_THAT(me_.Rmdir(directory, item.name), Succeeds());
    }
  }

 private:
  void Visit(InodeNumber directory, InodeNumber parent) {
    ASSERT_TRUE(directories_.insert(directory).second) << "two ways to one directory";
    Listing listing;
    ASSERT_THAT(me_.Readdir(directory, 0, false, &listing), Succeeds());
    ASSERT_GE(listing.items.size(), 2u);
    EXPECT_EQ(listing.items[0].ino, directory);
    EXPECT_EQ(listing.items[1].ino, parent);
    uint32_t subdirectories = 0;
    std::set<std::string> seen;
    for (size_t i = 2; i < listing.items.size(); ++i) {
      const Listing::Item& item = listing.items[i];
      EXPECT_TRUE(seen.insert(item.name).second) << item.name;
      const InodeNumber found = Ino(me_.Lookup(directory, item.name));
      EXPECT_EQ(found, item.ino);
      me_.Forget(found);
      if (item.type == S_IFDIR) {
        ++subdirectories;
        Visit(item.ino, directory);
      } else {
        ++names_[item.ino];
      }
    }
    EXPECT_EQ(Must(me_.Getattr(directory)).attributes.nlink, 2 + subdirectories);
  }

  const Caller me_;
  std::set<InodeNumber> directories_;
  std::map<InodeNumber, uint32_t> names_;
};

struct Limits {
  uint64_t bytes;
  uint64_t inodes;
};

void PrintTo(const Limits& limits, std::ostream* out) {
  *out << limits.bytes << " bytes, " << limits.inodes << " inodes";
}

class ConcurrencyTest : public MemFsTest, public ::testing::WithParamInterface<Limits> {
 protected:
  ConcurrencyTest() : MemFsTest(SmallOptions(GetParam().bytes, GetParam().inodes)) {}
};

TEST_P(ConcurrencyTest, ATreeRemainsATree) {
  ASSERT_THAT(fs_->SetQuota({QuotaKind::kUser, 1, 200'000, 40}), Succeeds());
  ASSERT_THAT(fs_->SetQuota({QuotaKind::kGroup, 2, 300'000, kNoQuota}), Succeeds());
  constexpr int kThreads = 4;
  // A million operations, except in the much slower builds for debugging.
#ifdef NDEBUG
  constexpr int kSteps = 250'000;
#else
  constexpr int kSteps = 12'000;
#endif
  std::vector<RandomClient> clients;
  for (unsigned t = 0; t < kThreads; ++t) clients.emplace_back(fs_.get(), t + 1);
  std::vector<std::thread> threads;
  for (RandomClient& client : clients) {
    threads.emplace_back([&client] { client.Run(kSteps); });
  }
  for (std::thread& thread : threads) thread.join();

  const MemoryFileSystemUsage usage = fs_->Usage();
  EXPECT_LE(usage.bytes_used, usage.size_limit);
  EXPECT_LE(usage.inodes_used, usage.inode_limit);
  ExpectSumsAgree();
  TreeCheck tree(fs_.get());
  tree.Check();
  for (RandomClient& client : clients) client.GiveEverythingBack();
  // Only inodes with a name are left.
  EXPECT_EQ(fs_->Usage().inodes_used, tree.inodes());
  // The roots of trees can be removed when they have no limits.
  for (QuotaRule rule : fs_->Quotas()) {
    if (rule.kind != QuotaKind::kTree) continue;
    rule.bytes = rule.inodes = kNoQuota;
    EXPECT_THAT(fs_->SetQuota(rule), Succeeds()) << rule.path;
  }
  tree.RemoveAll();
  ExpectEmpty();
  for (const QuotaUsage& left : fs_->UsageByOwner()) EXPECT_NE(left.kind, QuotaKind::kTree);
}

INSTANTIATE_TEST_SUITE_P(Limits, ConcurrencyTest,
                         ::testing::Values(Limits{uint64_t{1} << 30, 1 << 20}, Limits{100000, 60}));

class RaceTest : public MemFsTest {
 protected:
  // Runs `work` repeatedly in another thread, while the calling thread runs `rounds` of `change`.
  template <typename Change, typename Work>
  static void Beside(int rounds, Change change, Work work) {
    std::atomic<bool> done{false};
    std::thread other([&] {
      while (!done) work();
    });
    for (int i = 0; i < rounds; ++i) change(i);
    done = true;
    other.join();
  }
};

TEST_F(RaceTest, AListingShowsARenamedFileUnderOneName) {
  me_.Forget(Ino(me_.Mknod(kRootInode, "a")));
  std::atomic<int> wrong{0};
  Beside(
      5000,
      [&](int i) {
        const bool odd = i % 2 == 1;
        if (!me_.Rename(kRootInode, odd ? "b" : "a", kRootInode, odd ? "a" : "b").ok()) ++wrong;
      },
      [&] {
        Listing listing;
        if (!me_.Readdir(kRootInode, 2, false, &listing).ok()) ++wrong;
        if (listing.items.size() != 1) ++wrong;
      });
  EXPECT_EQ(wrong, 0);
}

TEST_F(RaceTest, AReplacedNameIsNeverMissing) {
  me_.Forget(Ino(me_.Mknod(kRootInode, "target")));
  std::atomic<int> wrong{0};
  Beside(
      5000,
      [&](int) {
        const Result<Entry> made = me_.Mknod(kRootInode, "new");
        if (!made.ok() || !me_.Rename(kRootInode, "new", kRootInode, "target").ok()) ++wrong;
        if (made.ok()) me_.Forget(made->ino);
      },
      [&] {
        const Result<Entry> found = me_.Lookup(kRootInode, "target");
        if (!found.ok()) {
          ++wrong;
          return;
        }
        // An inode that was looked up stays until FORGET, whether or not its name was replaced.
        if (!me_.Getattr(found->ino).ok()) ++wrong;
        me_.Forget(found->ino);
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(fs_->Usage().inodes_used, 2u);
}

TEST_F(RaceTest, ARemovedDirectoryAcceptsNoName) {
  int removed_full = 0;
  std::atomic<uint64_t> current{ToInt(Ino(me_.Mkdir(kRootInode, "dir")))};
  Beside(
      3000,
      [&](int) {
        const InodeNumber dir{current.load()};
        const bool removed = me_.Rmdir(kRootInode, "dir").ok();
        if (removed) {
          // A name that was made before the removal would have prevented it. A name that is made
          // later fails.
          Listing listing;
          if (!me_.Readdir(dir, 2, false, &listing).ok() || !listing.items.empty()) ++removed_full;
          current = ToInt(Ino(me_.Mkdir(kRootInode, "dir")));
          me_.Forget(dir);
        } else {
          (void)me_.Unlink(dir, "x");
        }
      },
      [&] {
        const Result<Entry> entry = me_.Mknod(InodeNumber{current.load()}, "x");
        if (!entry.ok()) return;
        me_.Forget(entry->ino);
      });
  EXPECT_EQ(removed_full, 0);
  (void)me_.Unlink(InodeNumber{current.load()}, "x");
  EXPECT_THAT(me_.Rmdir(kRootInode, "dir"), Succeeds());
  me_.Forget(InodeNumber{current.load()});
  ExpectEmpty();
}

// Two threads move two directories into each other. One of the two renames is always refused.
TEST_F(RaceTest, TwoRenamesMakeNoLoop) {
  const InodeNumber a = Ino(me_.Mkdir(kRootInode, "a"));
  const InodeNumber b = Ino(me_.Mkdir(kRootInode, "b"));
  Beside(
      5000,
      [&](int) {
        (void)me_.Rename(kRootInode, "a", b, "a");
        (void)me_.Rename(b, "a", kRootInode, "a");
      },
      [&] {
        (void)me_.Rename(kRootInode, "b", a, "b");
        (void)me_.Rename(a, "b", kRootInode, "b");
      });
  TreeCheck tree(fs_.get());
  tree.Check();
  EXPECT_EQ(tree.inodes(), 3u);
}

// Each content that is written consists of one letter. A reader never sees two letters.
TEST_F(RaceTest, AReadSeesAWriteAsAWhole) {
  const InodeNumber file = Ino(me_.Mknod(kRootInode, "file"));
  std::atomic<int> wrong{0};
  Beside(
      3000,
      [&](int i) {
        // The same length many times, then another length.
        static constexpr size_t kSizes[] = {100, 9000, 2048, 2049, 40000};
        if (i % 100 == 0 && !me_.Truncate(file, 0).ok()) ++wrong;
        const std::string data(kSizes[i / 100 % 5], static_cast<char>('a' + i % 26));
        if (!me_.Write(file, 0, data).ok()) ++wrong;
      },
      [&] {
        const Result<std::string> data = me_.Read(file, 0, 50000);
        if (!data.ok() || data->find_first_not_of(data->substr(0, 1)) != std::string::npos) ++wrong;
      });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace memfuse::memfs
