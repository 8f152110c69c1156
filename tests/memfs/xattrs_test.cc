#include "src/memfs/tree/xattrs.h"

#include <gtest/gtest.h>
#include <linux/limits.h>
#include <sys/xattr.h>

#include <string>

#include "src/memfs/space/account.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;

class XattrsTest : public ::testing::Test {
 protected:
  Result<void> Set(const std::string& name, const std::string& value, uint32_t flags) {
    return xattrs_.Set(name, value, flags);
  }

  Budget budget_{2000, 1};
  Accounts accounts_{&budget_};
  AccountRef account_ = accounts_.Find({});
  Xattrs xattrs_{account_.get()};
};

TEST_F(XattrsTest, FindsSetAttributes) {
  EXPECT_TRUE(xattrs_.empty());
  EXPECT_EQ(xattrs_.Find("user.a"), nullptr);
  EXPECT_THAT(Set("user.a", std::string("one\0two", 7), 0), Succeeds());
  EXPECT_THAT(Set("user.b", "", 0), Succeeds());
  EXPECT_EQ(*xattrs_.Find("user.a"), std::string("one\0two", 7));
  EXPECT_EQ(*xattrs_.Find("user.b"), "");
  EXPECT_THAT(Set("user.a", "three", 0), Succeeds());
  EXPECT_EQ(*xattrs_.Find("user.a"), "three");
  EXPECT_FALSE(xattrs_.empty());
}

TEST_F(XattrsTest, CreateAndReplaceCheckForExistence) {
  EXPECT_THAT(Set("user.a", "1", XATTR_REPLACE), Fails(ENODATA));
  EXPECT_THAT(Set("user.a", "1", XATTR_CREATE), Succeeds());
  EXPECT_THAT(Set("user.a", "2", XATTR_CREATE), Fails(EEXIST));
  EXPECT_EQ(*xattrs_.Find("user.a"), "1");
  EXPECT_THAT(Set("user.a", "3", XATTR_REPLACE), Succeeds());
  EXPECT_EQ(*xattrs_.Find("user.a"), "3");
}

TEST_F(XattrsTest, RemovesOnce) {
  ASSERT_THAT(Set("user.a", "1", 0), Succeeds());
  EXPECT_TRUE(xattrs_.Remove("user.a"));
  EXPECT_FALSE(xattrs_.Remove("user.a"));
  EXPECT_TRUE(xattrs_.empty());
  EXPECT_EQ(budget_.bytes_used(), 0u);
}

TEST_F(XattrsTest, ListsNamesWithTheirNul) {
  for (const char* name : {"user.b", "trusted.t", "security.s", "user.a"}) {
    ASSERT_THAT(Set(name, "", 0), Succeeds());
  }
  EXPECT_EQ(xattrs_.List(false), std::string("security.s\0user.a\0user.b\0", 25));
  EXPECT_EQ(xattrs_.List(true), std::string("security.s\0trusted.t\0user.a\0user.b\0", 35));
}

TEST_F(XattrsTest, ChargesTheDifferenceAndReleasesAll) {
  {
    Xattrs xattrs(account_.get());
    ASSERT_THAT(xattrs.Set("user.a", std::string(1000, 'x'), 0), Succeeds());
    const uint64_t with_large = budget_.bytes_used();
    EXPECT_GE(with_large, 1006u);
    ASSERT_THAT(xattrs.Set("user.a", std::string(400, 'x'), 0), Succeeds());
    EXPECT_EQ(budget_.bytes_used(), with_large - 600);
    ASSERT_THAT(xattrs.Set("user.a", std::string(1000, 'y'), 0), Succeeds());
    EXPECT_EQ(budget_.bytes_used(), with_large);
  }
  EXPECT_EQ(budget_.bytes_used(), 0u);
}

TEST_F(XattrsTest, KeepsTheOldValueWhenSpaceRunsOut) {
  ASSERT_THAT(Set("user.a", std::string(1000, 'x'), 0), Succeeds());
  const uint64_t used = budget_.bytes_used();
  EXPECT_THAT(Set("user.a", std::string(1950, 'y'), 0), Fails(ENOSPC));
  EXPECT_THAT(Set("user.b", std::string(900, 'y'), 0), Fails(ENOSPC));
  EXPECT_EQ(*xattrs_.Find("user.a"), std::string(1000, 'x'));
  EXPECT_EQ(xattrs_.Find("user.b"), nullptr);
  EXPECT_EQ(budget_.bytes_used(), used);
}

TEST_F(XattrsTest, ReplacesInAFullStore) {
  ASSERT_THAT(Set("user.a", "old", 0), Succeeds());
  ASSERT_TRUE(budget_.ReserveBytes(budget_.bytes_free()));
  EXPECT_THAT(Set("user.a", "new", 0), Succeeds());
  EXPECT_EQ(*xattrs_.Find("user.a"), "new");
}

TEST(XattrsListTest, LimitsTheListToTheKernelsMaximum) {
  Budget budget(1 << 20, 1);
  Accounts accounts(&budget);
  const AccountRef account = accounts.Find({});
  Xattrs xattrs(account.get());
  const std::string suffix(200, 'n');
  for (int i = 1000; i < 2000; ++i) {
    ASSERT_THAT(xattrs.Set("user." + std::to_string(i) + suffix, {}, 0), Succeeds());
  }
  const size_t size = xattrs.List(/*with_trusted=*/true).size();
  EXPECT_GT(size, size_t{XATTR_LIST_MAX});
  EXPECT_LE(size, size_t{XATTR_LIST_MAX} + 210);
}

}  // namespace
}  // namespace memfuse::memfs
