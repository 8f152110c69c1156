#include "src/cli/refusal_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace memfuse::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Refusal UserBytes(uint64_t count) {
  Refusal refusal;
  refusal.owner = Refusal::Owner::kUser;
  refusal.id = 1000;
  refusal.count = count;
  refusal.asked = 8192;
  refusal.left = 1;
  refusal.pid = 77;
  refusal.uid = 1000;
  return refusal;
}

TEST(RefusalLog, NamesTheLimitAndTheCaller) {
  EXPECT_EQ(
      DescribeRefusal(UserBytes(1)),
      "refused 8192 bytes to process 77 of user 1000: the quota of user 1000 has 1 byte left");
  Refusal inodes;
  inodes.limit = Refusal::Limit::kInodes;
  inodes.asked = 1;
  EXPECT_EQ(DescribeRefusal(inodes),
            "refused 1 inode to an unknown process: the file system has 0 inodes left");
  Refusal memory;
  memory.owner = Refusal::Owner::kMemory;
  memory.asked = 4096;
  EXPECT_EQ(DescribeRefusal(memory),
            "refused 4096 bytes to an unknown process: the memory of the control group has 0 bytes "
            "left");
  memory.pid = 78;
  EXPECT_THAT(DescribeRefusal(memory), HasSubstr("to process 78: "));
  memory.uid = 0;
  EXPECT_THAT(DescribeRefusal(memory), HasSubstr("to process 78 of user 0: "));
  inodes.owner = Refusal::Owner::kGroup;
  inodes.id = 5;
  EXPECT_EQ(DescribeRefusal(inodes),
            "refused 1 inode to an unknown process: the quota of group 5 has 0 inodes left");
  inodes.owner = Refusal::Owner::kTree;
  EXPECT_THAT(DescribeRefusal(inodes), HasSubstr(": the quota of a removed directory has"));
  inodes.path = "/builds";
  EXPECT_THAT(DescribeRefusal(inodes), HasSubstr(": the quota of the directory /builds has"));
}

TEST(RefusalLog, OneLineForALimitInTenSeconds) {
  RefusalLog log;
  const absl::Time start = absl::FromUnixSeconds(1000);
  EXPECT_THAT(log.NewLines({}, start), IsEmpty());
  EXPECT_THAT(log.NewLines({UserBytes(1)}, start), ElementsAre(DescribeRefusal(UserBytes(1))));
  EXPECT_THAT(log.NewLines({UserBytes(1)}, start + absl::Seconds(20)), IsEmpty());
  EXPECT_THAT(log.NewLines({UserBytes(4)}, start + absl::Seconds(21)),
              ElementsAre(DescribeRefusal(UserBytes(4)) + "; 2 more since the last such line"));
  EXPECT_THAT(log.NewLines({UserBytes(9)}, start + absl::Seconds(30)), IsEmpty());
  Refusal other = UserBytes(1);
  other.id = 2000;
  EXPECT_EQ(log.NewLines({UserBytes(9), other}, start + absl::Seconds(30)).size(), 1u);
  EXPECT_THAT(log.NewLines({UserBytes(9), other}, start + absl::Seconds(31)),
              ElementsAre(DescribeRefusal(UserBytes(9)) + "; 4 more since the last such line"));
}

// The ID of a tree is an inode number, which has 64 bits.
TEST(RefusalLog, TreesWithLargeNumbersAreToldApart) {
  RefusalLog log;
  Refusal tree = UserBytes(1);
  tree.owner = Refusal::Owner::kTree;
  tree.id = 7;
  Refusal other = tree;
  other.id += uint64_t{1} << 32;
  EXPECT_EQ(log.NewLines({tree, other}, absl::FromUnixSeconds(1000)).size(), 2u);
}

TEST(RefusalLog, ALimitThatWasForgottenCountsAnew) {
  RefusalLog log;
  const absl::Time start = absl::FromUnixSeconds(1000);
  EXPECT_EQ(log.NewLines({UserBytes(50)}, start).size(), 1u);
  EXPECT_EQ(log.NewLines({UserBytes(2)}, start + absl::Seconds(11)).size(), 1u);
}

}  // namespace
}  // namespace memfuse::cli
