// What each change of an attribute does to the times, and what a new inode inherits.

#include "src/memfs/tree/attribute_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <functional>
#include <memory>
#include <string>

#include "src/base/clock.h"
#include "src/memfs/data/null_store.h"
#include "src/memfs/tree/changes.h"
#include "tests/memfs/acl_bytes.h"
#include "tests/memfs/charge.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using ::memfuse::test::Fails;
using ::memfuse::test::Succeeds;

constexpr Timestamp kBorn{1000, 0};
constexpr uint32_t kNewOwner = 7;
constexpr uint32_t kNewGroup = 8;

class AttributeChangesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    resources_.store = std::make_unique<NullStore>(&resources_.budget);
    file_ = base::RefPtr<RegularFile>::Adopt(resources_.store->NewRegularFile(
        &resources_, NewInodeRecord(resources_.records.get(), InodeNumber{100}, S_IFREG, kBorn),
        ChargeFor(&resources_, 0, {kNewOwner, kNewGroup})));
    dir_ = base::RefPtr<Directory>::Adopt(new Directory(
        &resources_, DirectoryRecord(&resources_, InodeNumber{101}, kRootInode, kBorn),
        ChargeFor(&resources_, 0, {kNewOwner, kNewGroup})));
    Init(file_.get(), 0644);
    Init(dir_.get(), 0755);
  }

  void Init(Inode* inode, uint32_t permissions) {
    NewAttributes attributes;
    attributes.permissions = permissions;
    attributes.owner = {kNewOwner, kNewGroup};
    ASSERT_THAT(AttributeChanges::Init(inode, attributes, kBorn), Succeeds());
  }
  static InodeAttributes MetaOf(const Inode& inode) {
    MutexLock lock(&inode.mu);
    return inode.meta();
  }
  static std::string XattrOf(const Inode& inode, std::string_view name) {
    MutexLock lock(&inode.mu);
    if (inode.xattrs() == nullptr) return "";
    return std::string(inode.xattrs()->Find(name).value_or(""));
  }
  static Result<void> SetXattr(Inode* inode, std::string_view name, std::string_view value,
                               Timestamp now) {
    SetxattrRequest request;
    request.name = name;
    request.value = absl::MakeConstSpan(value);
    return AttributeChanges::SetXattr(inode, request, now);
  }
  // Returns the names of the times that are not kBorn.
  static std::string MovedTimes(const Inode& inode) {
    const Times times = MetaOf(inode);
    std::string moved;
    if (times.atime != kBorn) moved += "a";
    if (times.mtime != kBorn) moved += "m";
    if (times.ctime != kBorn) moved += "c";
    return moved;
  }

  Resources resources_{uint64_t{1} << 20, 100, MakeRecords()};
  base::RefPtr<RegularFile> file_;
  base::RefPtr<Directory> dir_;
};

TEST_F(AttributeChangesTest, EachChangeMovesItsTimes) {
  const Timestamp now = base::Now();
  const auto set = [&](void (*fill)(SetattrRequest*), bool resized = false) {
    SetattrRequest request;
    fill(&request);
    (void)AttributeChanges::SetAttributes(file_.get(), request, resized, now);
  };
  const struct {
    const char* name;
    std::function<void()> change;
    const char* moved;
  } cases[] = {
      {"mode", [&] { set([](SetattrRequest* r) { r->mode = 0600; }); }, "c"},
      {"uid", [&] { set([](SetattrRequest* r) { r->uid = 1; }); }, "c"},
      {"gid", [&] { set([](SetattrRequest* r) { r->gid = 1; }); }, "c"},
      {"atime", [&] { set([](SetattrRequest* r) { r->atime.kind = TimeChange::Kind::kNow; }); },
       "ac"},
      {"mtime", [&] { set([](SetattrRequest* r) { r->mtime.kind = TimeChange::Kind::kNow; }); },
       "mc"},
      {"size", [&] { set([](SetattrRequest* r) { r->size = 1; }, /*resized=*/true); }, "mc"},
      {"no new size", [&] { set([](SetattrRequest* r) { r->size = 0; }); }, ""},
      {"set-id bits", [&] { set([](SetattrRequest* r) { r->kill_suidgid = true; }); }, "c"},
      {"flags", [&] { AttributeChanges::SetFlags(file_.get(), FS_NODUMP_FL, now); }, "c"},
      {"xattr", [&] { EXPECT_THAT(SetXattr(file_.get(), "user.a", "1", now), Succeeds()); }, "c"},
      {"removed ACL",
       [&] {
         EXPECT_THAT(AttributeChanges::RemoveXattr(file_.get(), kAccessAclName, now), Succeeds());
       },
       "c"},
      {"data", [&] { (void)AttributeChanges::NoteDataChange(file_.get(), false, std::nullopt); },
       "mc"},
      {"access", [&] { AttributeChanges::NoteAccess(file_.get(), /*strict=*/false); }, "a"},
      {"S_ISGID", [&] { AttributeChanges::RemoveSetGid(file_.get(), kNewGroup); }, ""},
  };
  for (const auto& c : cases) {
    Init(file_.get(), 0644);
    c.change();
    EXPECT_EQ(MovedTimes(*file_), c.moved) << c.name;
  }
}

TEST_F(AttributeChangesTest, AnErrorChangesNothing) {
  const Timestamp now = base::Now();
  const std::string acl = AclBytes({{kAclUserObj, 7}, {kAclGroupObj, 0}, {kAclOther, 0}});
  EXPECT_THAT(SetXattr(file_.get(), kDefaultAclName, acl, now), Fails(EACCES));
  EXPECT_THAT(SetXattr(file_.get(), kAccessAclName, "x", now), Fails(EINVAL));
  EXPECT_THAT(AttributeChanges::RemoveXattr(file_.get(), "user.a", now), Fails(ENODATA));
  ASSERT_TRUE(resources_.budget.ReserveBytes(resources_.budget.bytes_free()));
  EXPECT_THAT(SetXattr(file_.get(), "user.a", "1", now), Fails(ENOSPC));
  EXPECT_EQ(MovedTimes(*file_), "");
  EXPECT_EQ(MetaOf(*file_).permissions, 0644u);
}

TEST_F(AttributeChangesTest, AStampIsNotBeforeTheLastChange) {
  const Timestamp later{kBorn.seconds, 5};
  const Timestamp earlier{kBorn.seconds, 3};
  AttributeChanges::SetFlags(file_.get(), 0, later);
  AttributeChanges::SetFlags(file_.get(), 0, earlier);
  EXPECT_EQ(Timestamp(MetaOf(*file_).ctime), later);
}

TEST_F(AttributeChangesTest, RemoveSetGidLeavesTheBitOfAnotherGroup) {
  Init(file_.get(), 02644);
  AttributeChanges::RemoveSetGid(file_.get(), kNewGroup + 1);
  EXPECT_EQ(MetaOf(*file_).permissions, 02644u);
  AttributeChanges::RemoveSetGid(file_.get(), kNewGroup);
  EXPECT_EQ(MetaOf(*file_).permissions, 0644u);
}

TEST_F(AttributeChangesTest, NoteDataChangeReportsTheSetGidBitThatIsLeft) {
  Init(file_.get(), 06644);
  EXPECT_FALSE(AttributeChanges::NoteDataChange(file_.get(), false, std::nullopt));
  EXPECT_EQ(MetaOf(*file_).permissions, 06644u);
  EXPECT_TRUE(AttributeChanges::NoteDataChange(file_.get(), true, std::nullopt));
  EXPECT_EQ(MetaOf(*file_).permissions, 02644u);
  Init(file_.get(), 06655);
  EXPECT_FALSE(AttributeChanges::NoteDataChange(file_.get(), true, std::nullopt));
  EXPECT_EQ(MetaOf(*file_).permissions, 0655u);
}

TEST_F(AttributeChangesTest, ANewInodeInheritsFromItsDirectory) {
  Result<NewAttributes> made = InheritFrom(*dir_, S_IFREG | 0666, 022, {1, 2});
  ASSERT_THAT(made, Succeeds());
  EXPECT_EQ(made->permissions, 0644u);
  EXPECT_EQ(made->owner.uid, 1u);
  EXPECT_EQ(made->owner.gid, 2u);
  EXPECT_EQ(made->flags, 0u);

  Init(dir_.get(), 02755);
  AttributeChanges::SetFlags(dir_.get(), FS_APPEND_FL | FS_NODUMP_FL, kBorn);
  made = InheritFrom(*dir_, S_IFREG | 0666, 022, {1, 2});
  ASSERT_THAT(made, Succeeds());
  EXPECT_EQ(made->permissions, 0644u);
  EXPECT_EQ(made->owner.gid, kNewGroup);
  EXPECT_EQ(made->flags, uint32_t{FS_NODUMP_FL});
  made = InheritFrom(*dir_, S_IFDIR | 0777, 022, {1, 2});
  ASSERT_THAT(made, Succeeds());
  EXPECT_EQ(made->permissions, 02755u);
  made = InheritFrom(*dir_, S_IFLNK, 022, {1, 2});
  ASSERT_THAT(made, Succeeds());
  EXPECT_EQ(made->permissions, 0777u);
}

TEST_F(AttributeChangesTest, ADefaultAclTakesThePlaceOfTheUmask) {
  const std::string acl = AclBytes(
      {{kAclUserObj, 7}, {kAclUser, 7, 1}, {kAclGroupObj, 7}, {kAclMask, 7}, {kAclOther, 5}});
  ASSERT_THAT(SetXattr(dir_.get(), kDefaultAclName, acl, kBorn), Succeeds());
  Result<NewAttributes> made = InheritFrom(*dir_, S_IFDIR | 0770, 0777, {1, 2});
  ASSERT_THAT(made, Succeeds());
  EXPECT_EQ(made->permissions, 0770u);
  EXPECT_EQ(made->default_acl, acl);
  const auto child = base::RefPtr<Directory>::Adopt(
      new Directory(&resources_, DirectoryRecord(&resources_, InodeNumber{102}, dir_->ino, kBorn),
                    ChargeFor(&resources_)));
  ASSERT_THAT(AttributeChanges::Init(child.get(), *made, kBorn), Succeeds());
  EXPECT_EQ(XattrOf(*child, kDefaultAclName), acl);
  EXPECT_EQ(XattrOf(*child, kAccessAclName), made->access_acl);

  made = InheritFrom(*dir_, S_IFREG | 0640, 0777, {1, 2});
  ASSERT_THAT(made, Succeeds());
  EXPECT_EQ(made->permissions, 0640u);
  EXPECT_EQ(made->default_acl, "");
  EXPECT_NE(made->access_acl, "");
}

TEST_F(AttributeChangesTest, TheRootHasTwoLinks) {
  AddRoot(dir_.get(), kBorn);
  EXPECT_EQ(MetaOf(*dir_).nlink, 2u);
  EXPECT_EQ(MovedTimes(*dir_), "");
}

}  // namespace
}  // namespace memfuse::memfs
