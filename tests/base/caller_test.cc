#include "src/base/caller.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

namespace memfuse::base {
namespace {

constexpr uint32_t kNobodysGroup = 0xfffffff0;

TEST(ThreadHasGroup, KnowsTheGroupsOfThisThread) {
  std::vector<gid_t> groups(static_cast<size_t>(getgroups(0, nullptr)));
  ASSERT_GE(getgroups(static_cast<int>(groups.size()), groups.data()), 0);
  const auto self = static_cast<uint32_t>(getpid());
  for (const gid_t group : groups) EXPECT_TRUE(ThreadHasGroup(self, group)) << group;
  EXPECT_FALSE(ThreadHasGroup(self, kNobodysGroup));
}

TEST(ThreadHasGroup, IsFalseWhereNobodyCanTell) {
  EXPECT_FALSE(ThreadHasGroup(0, 0));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(ThreadHasGroup(static_cast<uint32_t>(child), getgid()));
}

}  // namespace
}  // namespace memfuse::base
