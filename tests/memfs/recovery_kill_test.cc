// A process is killed at any instruction of an operation; its successor finds the tree as it was
// before or as it is after the operation.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "src/memfs/data/arena.h"
#include "src/memfs/records/request_scope.h"
#include "tests/memfs/recovery_test_base.h"
#include "tests/testing/stepped_process.h"

namespace memfuse::memfs {
namespace {

// Stops `change` after each instruction, and calls `describe` with the file system that a successor
// finds. Expects that the description changes once. The process ends without destroying `fs`, whose
// memory the changes of its child have made inconsistent.
[[noreturn]] void ExpectOneTransitionAndExit(
    const MemFs& fs, const std::function<void()>& change,
    const std::function<std::string(MemFs* successor)>& describe) {
  Memory memory(fs);
  const std::string before = describe(memory.Recover().get());
  std::string last = before;
  int transitions = 0;
  const uint64_t steps = test::RunInSteps(change, [&] {
    if (!memory.Refresh()) return;
    const auto successor = memory.Recover();
    if (successor == nullptr) return;
    std::string found = describe(successor.get());
    if (found == last) return;
    ++transitions;
    last = std::move(found);
  });
  EXPECT_GT(steps, 0u);
  EXPECT_EQ(transitions, 1) << "before:\n" << before << "\nafter:\n" << last;
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

// Expects that a successor finds the tree before the change or the tree after it.
[[noreturn]] void KillAtEachStepAndExit(const std::function<void(const Tree& tree)>& change) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Tree tree(fs.get());
  ExpectOneTransitionAndExit(
      *fs, [&] { change(tree); }, [](MemFs* successor) { return Describe(successor); });
}

// The tree, without times and inode numbers, and how many lookups and opens there are.
std::string DescribeOutcome(MemFs* fs) {
  std::string text = Describe(fs);
  text =
      std::regex_replace(text, std::regex(" ([mcb]time [0-9.]+|ino [0-9]+)|nameless [0-9]+"), "");
  const auto records = *RecordFile::Open(MemoryFileContent(fs->record_descriptor()).Copy());
  uint64_t lookups = 0;
  uint64_t opens = 0;
  records->ForEachBlock([&](BlockHeader* block) {
    if (block->kind != kInodeKind) return false;
    lookups += reinterpret_cast<const InodeRecord*>(block)->attributes.lookups;
    opens += reinterpret_cast<const InodeRecord*>(block)->attributes.opens;
    return false;
  });
  return text + std::to_string(lookups) + " lookups, " + std::to_string(opens) + " opens\n";
}

// Carries the change out as request 42 and returns the outcome.
std::string DescribeAfter(MemFs* fs, const Tree& tree, bool resent,
                          const std::function<void(const Tree& tree)>& change) {
  constexpr uint64_t kRequest = 42;
  Tree same(fs, tree);
  same.me.set_request(kRequest, resent);
  const RequestScope scope(fs->records(), kRequest);
  change(same);
  return DescribeOutcome(fs);
}

// Stops `change` after each instruction, and expects that a successor to which the kernel sends the
// request again has the tree after it.
[[noreturn]] void ResendAtEachStepAndExit(const std::function<void(const Tree& tree)>& change) {
  const auto fs = MakeMemFs(RecoveryOptions());
  Tree tree(fs.get());
  Memory memory(*fs);
  const std::string expected =
      DescribeAfter(memory.Recover().get(), tree, /*resent=*/false, change);
  std::optional<RequestScope> scope;
  const uint64_t steps = test::RunInSteps(
      [&] {
        // The scope does not end, because no reply is sent.
        scope.emplace(fs->records(), 42);
        tree.me.set_request(42, /*resent=*/false);
        change(tree);
      },
      [&] {
        if (!memory.Refresh()) return;
        const auto successor = memory.Recover();
        if (successor == nullptr) return;
        EXPECT_EQ(DescribeAfter(successor.get(), tree, /*resent=*/true, change), expected);
      });
  EXPECT_GT(steps, 0u);
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

// What the file `data` of the case has, for changes of data.
std::string DataOf(MemFs* fs) {
  const InodeNumber file = Ino(Caller(fs).Lookup(kRootInode, "data"));
  // Inline data may have moved to a page without another change.
  const uint64_t pages = (Must(Caller(fs).Getattr(file)).attributes.blocks + 7) / 8;
  return DescribeData(fs, file) + " pages " + std::to_string(pages);
}

// Removes all files that a case has and returns what the kernel holds. Returns what remains.
std::string Remains(MemFs* fs, const std::vector<InodeNumber>& files) {
  const Caller me(fs);
  for (const char* const name : {"data", "source"}) {
    EXPECT_THAT(me.Unlink(kRootInode, name), Succeeds());
  }
  for (const InodeNumber ino : files) me.Forget(ino);
  const MemoryFileSystemUsage usage = fs->Usage();
  return std::to_string(usage.bytes_used) + " bytes, " + std::to_string(usage.inodes_used) +
         " inodes, " + std::to_string(usage.data_bytes) + " of data";
}

// As KillAtEachStepAndExit, for a change of the data of the file `file`. A write is not one step
// together with its times, and space may be reserved before it is used. So the content and the size
// have to be as before or as after, and all space must be free when the files are gone.
[[noreturn]] void KillDataAtEachStepAndExit(
    const std::function<void(const Caller& me, InodeNumber file)>& prepare,
    const std::function<void(const Caller& me, InodeNumber file, InodeNumber source)>& change) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const std::string empty = std::to_string(fs->Usage().bytes_used) + " bytes, 1 inodes, 0 of data";
  const InodeNumber file = Ino(me.Mknod(kRootInode, "data"));
  const InodeNumber source = Ino(me.Mknod(kRootInode, "source"));
  Must(me.Write(source, 0, std::string(3 * kPageSize, 's')));
  prepare(me, file);
  ExpectOneTransitionAndExit(
      *fs, [&] { change(me, file, source); },
      [&](MemFs* successor) {
        std::string found = DataOf(successor);
        EXPECT_EQ(Remains(successor, {file, source, file}), empty);
        return found;
      });
}

struct KillCase {
  const char* name;
  std::function<void(const Tree& tree)> change;
};

class RecoveryKillTest : public testing::TestWithParam<KillCase> {};

TEST_P(RecoveryKillTest, TheTreeIsAsBeforeOrAsAfter) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) KillAtEachStepAndExit(GetParam().change);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_P(RecoveryKillTest, ARequestThatIsSentAgainIsCarriedOutOnce) {
  // The kernel does not repeat a FORGET.
  if (std::string(GetParam().name) == "Forget") return;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) ResendAtEachStepAndExit(GetParam().change);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

const KillCase kCases[] = {
    {"Mkdir", [](const Tree& t) { (void)t.me.Mkdir(t.dir, "new"); }},
    {"Create", [](const Tree& t) { (void)t.me.Create(t.other, "new"); }},
    {"Mknod", [](const Tree& t) { (void)t.me.Mknod(t.other, "new", S_IFBLK | 0600, 0, 0x801); }},
    {"Symlink", [](const Tree& t) { (void)t.me.Symlink(t.other, "new", "to"); }},
    {"Link", [](const Tree& t) { (void)t.me.Link(t.file, t.other, "new"); }},
    {"LinkOfTmpfile", [](const Tree& t) { (void)t.me.Link(t.nameless, t.other, "new"); }},
    {"Tmpfile", [](const Tree& t) { (void)t.me.Tmpfile(t.other); }},
    {"Unlink", [](const Tree& t) { (void)t.me.Unlink(t.dir, "link"); }},
    {"UnlinkOneOfTwo", [](const Tree& t) { (void)t.me.Unlink(t.dir, "file"); }},
    {"Rmdir", [](const Tree& t) { (void)t.me.Rmdir(t.other, "empty"); }},
    {"Rename", [](const Tree& t) { (void)t.me.Rename(t.dir, "link", t.dir, "new"); }},
    {"RenameOfADirectory",
     [](const Tree& t) { (void)t.me.Rename(kRootInode, "dir", t.other, "new"); }},
    {"RenameReplacesAFile",
     [](const Tree& t) { (void)t.me.Rename(t.dir, "link", t.other, "single"); }},
    {"RenameReplacesADirectory",
     [](const Tree& t) { (void)t.me.Rename(kRootInode, "dir", t.other, "empty"); }},
    {"RenameExchange",
     [](const Tree& t) {
       (void)t.me.Rename(kRootInode, "dir", t.other, "single", RENAME_EXCHANGE);
     }},
    {"RenameWhiteout",
     [](const Tree& t) { (void)t.me.Rename(t.dir, "link", t.other, "single", RENAME_WHITEOUT); }},
    {"Chmod", [](const Tree& t) { (void)t.me.Chmod(t.file, 0711); }},
    {"Chown", [](const Tree& t) { (void)t.me.Chown(t.file, 1, 2); }},
    {"SetxattrNew", [](const Tree& t) { (void)t.me.Setxattr(t.file, "user.new", "1"); }},
    {"SetxattrReplaces",
     [](const Tree& t) { (void)t.me.Setxattr(t.file, "user.name", std::string(300, 'x')); }},
    {"Removexattr", [](const Tree& t) { (void)t.me.Removexattr(t.file, "user.name"); }},
    {"SetxattrOfAnAcl",
     [](const Tree& t) {
       (void)t.me.Setxattr(t.dir, kAccessAclName,
                           AclBytes({{kAclUserObj, 6},
                                     {kAclUser, 4, 1},
                                     {kAclGroupObj, 4},
                                     {kAclMask, 4},
                                     {kAclOther, 4}}));
     }},
    {"SetTimes",
     [](const Tree& t) {
       SetattrRequest request;
       request.ino = t.file;
       request.atime = {TimeChange::Kind::kSet, {1, 2}};
       request.mtime = {TimeChange::Kind::kSet, {3, 4}};
       (void)t.me.Setattr(request);
     }},
    {"SetFlags",
     [](const Tree& t) {
       const uint32_t flags = FS_NODUMP_FL;
       IoctlRequest request{};
       request.ino = t.file;
       request.command = FS_IOC_SETFLAGS;
       request.input = {reinterpret_cast<const char*>(&flags), sizeof(flags)};
       (void)t.fs->Ioctl(t.me.context(), request);
     }},
    {"SetQuotaOfATree",
     [](const Tree& t) {
       (void)t.fs->SetQuota({QuotaKind::kTree, std::nullopt, 1 << 20, 9, "/other/empty"});
     }},
    {"SetQuotaOfAUser",
     [](const Tree& t) {
       (void)t.fs->SetQuota({QuotaKind::kUser, 1000, 1 << 20, 9});
     }},
    // Lookups and opens are seen of inodes without a name.
    {"Lookup", [](const Tree& t) { (void)t.me.Lookup(t.nameless, "."); }},
    {"Open", [](const Tree& t) { (void)t.me.Open(t.nameless, O_RDWR); }},
    {"Release", [](const Tree& t) { (void)t.me.Release(t.nameless); }},
    {"Forget", [](const Tree& t) { t.me.Forget(t.nameless); }},
};

struct KillDataCase {
  const char* name;
  std::function<void(const Caller& me, InodeNumber file)> prepare;
  std::function<void(const Caller& me, InodeNumber file, InodeNumber source)> change;
};

class RecoveryKillDataTest : public testing::TestWithParam<KillDataCase> {};

TEST_P(RecoveryKillDataTest, TheDataIsAsBeforeOrAsAfter) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) KillDataAtEachStepAndExit(GetParam().prepare, GetParam().change);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

std::function<void(const Caller& me, InodeNumber file)> Written(size_t size) {
  return [size](const Caller& me, InodeNumber file) {
    if (size > 0) Must(me.Write(file, 0, std::string(size, 'o')));
  };
}

std::function<void(const Caller&, InodeNumber, InodeNumber)> Writes(uint64_t offset, size_t size) {
  return [=](const Caller& me, InodeNumber file, InodeNumber /*source*/) {
    (void)me.Write(file, offset, std::string(size, 'n'));
  };
}

std::function<void(const Caller&, InodeNumber, InodeNumber)> Truncates(uint64_t size) {
  return [size](const Caller& me, InodeNumber file, InodeNumber /*source*/) {
    (void)me.Truncate(file, size);
  };
}

std::function<void(const Caller&, InodeNumber, InodeNumber)> Fallocates(uint32_t mode,
                                                                        uint64_t offset,
                                                                        uint64_t length) {
  return [=](const Caller& me, InodeNumber file, InodeNumber /*source*/) {
    (void)me.Fallocate(file, mode, offset, length);
  };
}

std::function<void(const Caller&, InodeNumber, InodeNumber)> Copies(uint64_t offset,
                                                                    uint64_t length) {
  return [=](const Caller& me, InodeNumber file, InodeNumber source) {
    (void)me.Copy(source, 0, file, offset, length);
  };
}

const KillDataCase kDataCases[] = {
    {"FirstInlineData", Written(0), Writes(0, 10)},
    {"InlineDataGrowsInPlace", Written(10), Writes(10, 5)},
    {"InlineDataGrowsIntoALargerBlock", Written(10), Writes(10, 500)},
    {"InlineDataIsOverwritten", Written(1000), Writes(50, 900)},
    {"InlineDataIsOverwrittenAndGrows", Written(10), Writes(5, 8)},
    {"InlineDataMovesToAPage", Written(1000), Writes(1000, 3000)},
    {"InlineDataMovesToAPageByFallocate", Written(1000), Fallocates(0, 0, 5000)},
    {"InlineDataIsCut", Written(1000), Truncates(10)},
    {"InlineDataIsRemoved", Written(1000), Truncates(0)},
    {"FirstPages", Written(0), Writes(0, 3 * kPageSize)},
    {"WriteBehindTheEndOfAPage", Written(3000), Writes(3000, 1000)},
    {"WriteOverTheEndOfTwoPages", Written(5000), Writes(5000, 4000)},
    {"WriteIntoAPage", Written(3 * kPageSize), Writes(5000, 100)},
    {"TheTableGrows", Written(4 * kPageSize), Writes(4 * kPageSize, kPageSize)},
    {"TheTableGetsAChunk", Written(kPageSize), Writes(300 * kPageSize, 10)},
    {"PagesAreCut", Written(10 * kPageSize), Truncates(5000)},
    {"PagesAreRemoved", Written(10 * kPageSize), Truncates(0)},
    {"TruncateExtends", Written(100), Truncates(100000)},
    {"FallocateExtends", Written(kPageSize), Fallocates(0, 0, 5 * kPageSize)},
    {"APageIsPunched", Written(3 * kPageSize),
     Fallocates(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPageSize, kPageSize)},
    {"APageIsZeroed", Written(3 * kPageSize),
     Fallocates(FALLOC_FL_ZERO_RANGE, kPageSize, kPageSize)},
    {"CopyToAnEmptyFile", Written(0), Copies(0, 3 * kPageSize)},
    // The inline data is the begin of what is copied: the data and the size do not change together.
    {"CopyReplacesInlineData",
     [](const Caller& me, InodeNumber file) { Must(me.Write(file, 0, std::string(1000, 's'))); },
     Copies(0, kPageSize)},
    {"CopyBehindTheEnd", Written(5000), Copies(4 * kPageSize, 3 * kPageSize)},
    {"WriteIntoASharedPage",
     [](const Caller& me, InodeNumber file) {
       const InodeNumber source = Ino(me.Lookup(kRootInode, "source"));
       me.Forget(source);
       Must(me.Copy(source, 0, file, 0, 3 * kPageSize));
     },
     Writes(5000, 100)},
    {"ASharedPageIsCut",
     [](const Caller& me, InodeNumber file) {
       const InodeNumber source = Ino(me.Lookup(kRootInode, "source"));
       me.Forget(source);
       Must(me.Copy(source, 0, file, 0, 3 * kPageSize));
     },
     Truncates(5000)},
    {"WriteIntoReservedSpaceBehindTheEnd",
     [](const Caller& me, InodeNumber file) {
       Must(me.Write(file, 0, std::string(5000, 'o')));
       EXPECT_THAT(me.Fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 10 * kPageSize), Succeeds());
     },
     Writes(2 * kPageSize, 100)},
};

INSTANTIATE_TEST_SUITE_P(Data, RecoveryKillDataTest, testing::ValuesIn(kDataCases),
                         [](const auto& test) { return std::string(test.param.name); });

INSTANTIATE_TEST_SUITE_P(Operations, RecoveryKillTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace memfuse::memfs
