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
    return SetIn(&xattrs_, name, value, flags);
  }
  bool Remove(const std::string& name) {
    Transaction change(records_.get());
    const bool removed = xattrs_.Remove(&change, name);
    change.Commit();
    return removed;
  }
  Result<void> SetIn(Xattrs* xattrs, const std::string& name, const std::string& value,
                     uint32_t flags = 0) {
    Transaction change(records_.get());
    MEMFUSE_RETURN_IF_ERROR(xattrs->Set(&change, name, absl::MakeConstSpan(value), flags));
    change.Commit();
    return {};
  }
  size_t Blocks() {
    size_t count = 0;
    records_->ForEachBlock([&](BlockHeader* block) {
      EXPECT_EQ(block->kind, kXattrKind);
      EXPECT_EQ(block->owner, kOwner);
      ++count;
      return false;
    });
    return count;
  }

  static constexpr BlockId kOwner = 1234;
  const std::unique_ptr<RecordFile> records_ = *RecordFile::Make();

  Budget budget_{2000, 1};
  Accounts accounts_{&budget_};
  AccountRef account_ = accounts_.Find({});
  Xattrs xattrs_{records_.get(), account_.get(), kOwner};
};

TEST_F(XattrsTest, FindsSetAttributes) {
  EXPECT_TRUE(xattrs_.empty());
  EXPECT_EQ(xattrs_.Find("user.a"), std::nullopt);
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
  EXPECT_TRUE(Remove("user.a"));
  EXPECT_FALSE(Remove("user.a"));
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
    Xattrs xattrs(records_.get(), account_.get(), kOwner);
    ASSERT_THAT(SetIn(&xattrs, "user.a", std::string(1000, 'x')), Succeeds());
    const uint64_t with_large = budget_.bytes_used();
    EXPECT_GE(with_large, 1006u);
    ASSERT_THAT(SetIn(&xattrs, "user.a", std::string(400, 'x')), Succeeds());
    EXPECT_LE(budget_.bytes_used(), with_large - 500);
    ASSERT_THAT(SetIn(&xattrs, "user.a", std::string(1000, 'y')), Succeeds());
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
  EXPECT_EQ(xattrs_.Find("user.b"), std::nullopt);
  EXPECT_EQ(budget_.bytes_used(), used);
}

TEST_F(XattrsTest, ReplacesInAFullStore) {
  ASSERT_THAT(Set("user.a", "old", 0), Succeeds());
  ASSERT_TRUE(budget_.ReserveBytes(budget_.bytes_free()));
  EXPECT_THAT(Set("user.a", "new", 0), Succeeds());
  EXPECT_EQ(*xattrs_.Find("user.a"), "new");
}

TEST_F(XattrsTest, PublishesTheAttributesOfANewInode) {
  ASSERT_THAT(xattrs_.Set(nullptr, "user.a", absl::MakeConstSpan("1"), 0), Succeeds());
  ASSERT_THAT(xattrs_.Set(nullptr, "user.a", absl::MakeConstSpan("2"), 0), Succeeds());
  ASSERT_THAT(xattrs_.Set(nullptr, "user.b", absl::MakeConstSpan("3"), 0), Succeeds());
  EXPECT_EQ(Blocks(), 0u);
  Transaction change(records_.get());
  xattrs_.Publish(&change);
  change.Commit();
  EXPECT_EQ(Blocks(), 2u);
}

TEST_F(XattrsTest, AnotherProcessFindsTheAttributesThatAreSet) {
  ASSERT_THAT(Set("user.a", "1", 0), Succeeds());
  ASSERT_THAT(Set("user.a", "2", 0), Succeeds());
  ASSERT_THAT(Set("user.b", "3", 0), Succeeds());
  EXPECT_EQ(Blocks(), 2u);
  EXPECT_TRUE(Remove("user.a"));
  EXPECT_EQ(Blocks(), 1u);
}

TEST_F(XattrsTest, LimitsTheListToTheKernelsMaximum) {
  Budget budget(1 << 20, 1);
  Accounts accounts(&budget);
  const AccountRef account = accounts.Find({});
  Xattrs xattrs(records_.get(), account.get(), kOwner);
  const std::string suffix(200, 'n');
  for (int i = 1000; i < 2000; ++i) {
    ASSERT_THAT(SetIn(&xattrs, "user." + std::to_string(i) + suffix, {}), Succeeds());
  }
  const size_t size = xattrs.List(/*with_trusted=*/true).size();
  EXPECT_GT(size, size_t{XATTR_LIST_MAX});
  EXPECT_LE(size, size_t{XATTR_LIST_MAX} + 210);
}

}  // namespace
}  // namespace memfuse::memfs
