// A process is killed at any instruction of an operation; its successor finds the tree as it was
// before or as it is after the operation.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>

#include "tests/memfs/recovery_test_base.h"
#include "tests/testing/stepped_process.h"

namespace memfuse::memfs {
namespace {

// Stops `change` after each instruction, and expects that a successor finds the tree before it or
// the tree after it. The process ends without destroying the file system, whose memory the changes
// of its child have made inconsistent.
[[noreturn]] void KillAtEachStepAndExit(const std::function<void(const Tree& tree)>& change) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Tree tree(fs.get());
  Memory memory(*fs);
  const std::string before = Describe(memory.Recover().get());
  std::string last = before;
  int transitions = 0;
  const uint64_t steps = test::RunInSteps([&] { change(tree); },
                                          [&] {
                                            if (!memory.Refresh()) return;
                                            const auto successor = memory.Recover();
                                            if (successor == nullptr) return;
                                            std::string found = Describe(successor.get());
                                            if (found == last) return;
                                            ++transitions;
                                            last = std::move(found);
                                          });
  EXPECT_GT(steps, 0u);
  EXPECT_EQ(transitions, 1) << "before:\n" << before << "after:\n" << last;
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
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
    // Lookups and opens are seen of inodes without a name.
    {"Lookup", [](const Tree& t) { (void)t.me.Lookup(t.nameless, "."); }},
    {"Open", [](const Tree& t) { (void)t.me.Open(t.nameless, O_RDWR); }},
    {"Release", [](const Tree& t) { (void)t.me.Release(t.nameless); }},
    {"Forget", [](const Tree& t) { t.me.Forget(t.nameless); }},
};

INSTANTIATE_TEST_SUITE_P(Operations, RecoveryKillTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace memfuse::memfs
