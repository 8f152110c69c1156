// A process is killed at any instruction of an operation; its successor finds the tree as it was
// before or as it is after the operation.

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
[[noreturn]] void KillAtEachStepAndExit(
    const std::function<void(const Caller& me, const Tree& tree)>& change) {
  const auto fs = MakeMemFs(RecoveryOptions());
  const Caller me(fs.get());
  const Tree tree(me);
  Memory memory(*fs);
  const std::string before = Describe(memory.Recover().get());
  std::string last = before;
  int transitions = 0;
  const uint64_t steps = test::RunInSteps([&] { change(me, tree); },
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
  std::function<void(const Caller& me, const Tree& tree)> change;
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
    {"Mkdir", [](const Caller& me, const Tree& t) { (void)me.Mkdir(t.dir, "new"); }},
    {"Create", [](const Caller& me, const Tree& t) { (void)me.Create(t.other, "new"); }},
    {"Mknod", [](const Caller& me,
                 const Tree& t) { (void)me.Mknod(t.other, "new", S_IFBLK | 0600, 0, 0x801); }},
    {"Symlink", [](const Caller& me, const Tree& t) { (void)me.Symlink(t.other, "new", "to"); }},
    {"Link", [](const Caller& me, const Tree& t) { (void)me.Link(t.file, t.other, "new"); }},
    {"LinkOfTmpfile",
     [](const Caller& me, const Tree& t) { (void)me.Link(t.nameless, t.other, "new"); }},
    {"Tmpfile", [](const Caller& me, const Tree& t) { (void)me.Tmpfile(t.other); }},
    {"Unlink", [](const Caller& me, const Tree& t) { (void)me.Unlink(t.dir, "link"); }},
    {"UnlinkOneOfTwo", [](const Caller& me, const Tree& t) { (void)me.Unlink(t.dir, "file"); }},
    {"Rmdir", [](const Caller& me, const Tree& t) { (void)me.Rmdir(t.other, "empty"); }},
    {"Rename",
     [](const Caller& me, const Tree& t) { (void)me.Rename(t.dir, "link", t.dir, "new"); }},
    {"RenameOfADirectory",
     [](const Caller& me, const Tree& t) { (void)me.Rename(kRootInode, "dir", t.other, "new"); }},
    {"RenameReplacesAFile",
     [](const Caller& me, const Tree& t) { (void)me.Rename(t.dir, "link", t.other, "single"); }},
    {"RenameReplacesADirectory",
     [](const Caller& me, const Tree& t) { (void)me.Rename(kRootInode, "dir", t.other, "empty"); }},
    {"RenameExchange",
     [](const Caller& me, const Tree& t) {
       (void)me.Rename(kRootInode, "dir", t.other, "single", RENAME_EXCHANGE);
     }},
    {"RenameWhiteout",
     [](const Caller& me, const Tree& t) {
       (void)me.Rename(t.dir, "link", t.other, "single", RENAME_WHITEOUT);
     }},
    {"Chmod", [](const Caller& me, const Tree& t) { (void)me.Chmod(t.file, 0711); }},
    {"Chown", [](const Caller& me, const Tree& t) { (void)me.Chown(t.file, 1, 2); }},
    {"SetxattrNew",
     [](const Caller& me, const Tree& t) { (void)me.Setxattr(t.file, "user.new", "1"); }},
    {"SetxattrReplaces",
     [](const Caller& me, const Tree& t) {
       (void)me.Setxattr(t.file, "user.name", std::string(300, 'x'));
     }},
    {"Removexattr",
     [](const Caller& me, const Tree& t) { (void)me.Removexattr(t.file, "user.name"); }},
    {"SetxattrOfAnAcl",
     [](const Caller& me, const Tree& t) {
       (void)me.Setxattr(t.dir, kAccessAclName,
                         AclBytes({{kAclUserObj, 6},
                                   {kAclUser, 4, 1},
                                   {kAclGroupObj, 4},
                                   {kAclMask, 4},
                                   {kAclOther, 4}}));
     }},
};

INSTANTIATE_TEST_SUITE_P(Operations, RecoveryKillTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace memfuse::memfs
