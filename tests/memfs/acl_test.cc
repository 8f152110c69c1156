#include "src/memfs/tree/acl.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/memfs/acl_bytes.h"
#include "tests/testing/result_matchers.h"

namespace memfuse::memfs {
namespace {

using test::Fails;
using test::Succeeds;

const AclEntry kOwner{kAclUserObj, 7};
const AclEntry kGroup{kAclGroupObj, 5};
const AclEntry kOther{kAclOther, 1};

// Parses `bytes`, which must be valid.
Acl Parsed(const std::string& bytes) {
  Result<Acl> acl = Acl::Parse(bytes);
  EXPECT_THAT(acl, Succeeds());
  return acl.ok() ? *std::move(acl) : Acl();
}

std::string WithNamedUser() {
  return AclBytes({kOwner, {kAclUser, 6, 1000}, kGroup, {kAclMask, 7}, kOther});
}

TEST(Acl, ThreeEntriesAreAMode) {
  const Acl acl = Parsed(AclBytes({kOwner, kGroup, kOther}));
  EXPECT_TRUE(acl.EquivalentToMode());
  EXPECT_EQ(acl.Mode(), 0751u);
}

TEST(Acl, TheMaskGivesTheGroupBits) {
  const Acl acl = Parsed(WithNamedUser());
  EXPECT_FALSE(acl.EquivalentToMode());
  EXPECT_EQ(acl.Mode(), 0771u);
}

TEST(Acl, SerializesToTheSameBytes) {
  const std::string full = AclBytes({kOwner,
                                     {kAclUser, 6, 1},
                                     {kAclUser, 0, 2},
                                     kGroup,
                                     {kAclGroup, 4, 7},
                                     {kAclGroup, 7, 70000},
                                     {kAclMask, 5},
                                     kOther});
  for (const std::string& bytes : {AclBytes({kOwner, kGroup, kOther}), WithNamedUser(), full}) {
    EXPECT_EQ(Parsed(bytes).Serialize(), bytes);
  }
}

TEST(Acl, RejectsAnUnknownVersion) {
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, kOther}, 1)), Fails(EOPNOTSUPP));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, kOther}, 3)), Fails(EOPNOTSUPP));
}

TEST(Acl, RejectsASizeThatHoldsNoWholeNumberOfEntries) {
  const std::string valid = WithNamedUser();
  for (size_t size = 0; size < valid.size(); ++size) {
    EXPECT_THAT(Acl::Parse(valid.substr(0, size)), Fails(EINVAL)) << size;
  }
  EXPECT_THAT(Acl::Parse(valid + "x"), Fails(EINVAL));
}

TEST(Acl, RejectsMissingEntries) {
  EXPECT_THAT(Acl::Parse(AclBytes({kGroup, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, {kAclUser, 6, 1}, kGroup, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, {kAclGroup, 6, 1}, kOther})), Fails(EINVAL));
}

TEST(Acl, RejectsRepeatedEntriesAndAWrongOrder) {
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kOwner, kGroup, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, kOther, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kGroup, kOwner, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, {kAclMask, 1}, {kAclMask, 1}, kOther})),
              Fails(EINVAL));
}

TEST(Acl, RejectsUnknownTagsPermissionsAndIds) {
  EXPECT_THAT(Acl::Parse(AclBytes({{0, 7}, kOwner, kGroup, kOther})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, kOther, {64, 7}})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, kGroup, {kAclOther, 8}})), Fails(EINVAL));
  EXPECT_THAT(Acl::Parse(AclBytes({kOwner, {kAclUser, 6}, kGroup, {kAclMask, 7}, kOther})),
              Fails(EINVAL));
}

TEST(Acl, ChmodSetsTheMaskAndLeavesTheGroupEntry) {
  std::string bytes = WithNamedUser();
  Acl::SetMode(0640, absl::MakeSpan(bytes), [](absl::Span<const char>) {});
  const Acl acl = Parsed(bytes);
  EXPECT_EQ(acl.Mode(), 0640u);
  EXPECT_EQ(
      acl.Serialize(),
      AclBytes({{kAclUserObj, 6}, {kAclUser, 6, 1000}, kGroup, {kAclMask, 4}, {kAclOther, 0}}));
}

TEST(Acl, ChmodSetsTheGroupEntryWhereThereIsNoMask) {
  std::string bytes = AclBytes({kOwner, kGroup, kOther});
  Acl::SetMode(0624, absl::MakeSpan(bytes), [](absl::Span<const char>) {});
  EXPECT_EQ(bytes, AclBytes({{kAclUserObj, 6}, {kAclGroupObj, 2}, {kAclOther, 4}}));
}

TEST(Acl, RestrictingAddsNoPermission) {
  Acl acl = Parsed(WithNamedUser());
  acl.RestrictTo(0666);
  EXPECT_EQ(
      acl.Serialize(),
      AclBytes({{kAclUserObj, 6}, {kAclUser, 6, 1000}, kGroup, {kAclMask, 6}, {kAclOther, 0}}));
  EXPECT_EQ(acl.Mode(), 0660u);
}

}  // namespace
}  // namespace memfuse::memfs
