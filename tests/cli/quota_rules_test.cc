#include "src/cli/quota_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace memfuse::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kSizeLimit = uint64_t{1} << 30;

std::vector<QuotaRule> Good(const std::string& text) {
  const auto rules = ParseQuotaRules(text, kSizeLimit);
  EXPECT_TRUE(rules.ok()) << rules.status();
  return rules.ok() ? *rules : std::vector<QuotaRule>();
}
std::string Error(const std::string& text) {
  const auto rules = ParseQuotaRules(text, kSizeLimit);
  EXPECT_EQ(rules.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(rules.status().message());
}

TEST(QuotaRules, NoneByDefault) {
  EXPECT_THAT(Good(""), IsEmpty());
  EXPECT_THAT(Good(",,"), IsEmpty());
}

TEST(QuotaRules, UsersAndGroupsByNumberAndName) {
  const std::vector<QuotaRule> rules = Good("uid:1000=2g,gid:100=64k/10k,uid:root=/5");
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[0].kind, QuotaKind::kUser);
  EXPECT_EQ(rules[0].id, 1000u);
  EXPECT_EQ(rules[0].bytes, uint64_t{2} << 30);
  EXPECT_EQ(rules[0].inodes, kNoQuota);
  EXPECT_EQ(rules[1].kind, QuotaKind::kGroup);
  EXPECT_EQ(rules[1].bytes, 64u << 10);
  EXPECT_EQ(rules[1].inodes, 10u << 10);
  EXPECT_EQ(rules[2].id, 0u);
  EXPECT_EQ(rules[2].bytes, kNoQuota);
  EXPECT_EQ(rules[2].inodes, 5u);
}

TEST(QuotaRules, ADefaultAsAShareOfTheSize) {
  const std::vector<QuotaRule> rules = Good("uid:*=10%");
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_FALSE(rules[0].id.has_value());
  EXPECT_EQ(rules[0].bytes, (kSizeLimit / 10 + 4095) / 4096 * 4096);
}

TEST(QuotaRules, ALaterRuleReplacesTheLimitsThatItGives) {
  const std::vector<QuotaRule> rules = Good("uid:5=1m,uid:5=/7,uid:5=2m");
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0].bytes, 2u << 20);
  EXPECT_EQ(rules[0].inodes, 7u);
  EXPECT_EQ(Good("uid:5=1m/3,uid:5=0")[0].bytes, kNoQuota);
  EXPECT_EQ(Good("uid:5=1m/3,uid:5=/0")[0].inodes, kNoQuota);
}

TEST(QuotaRules, DirectoriesByPath) {
  const std::vector<QuotaRule> rules = Good("path:/a//b/=1m/5,path:/x=y=10%,path:/a/b=2m");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].kind, QuotaKind::kTree);
  EXPECT_FALSE(rules[0].id.has_value());
  EXPECT_EQ(rules[0].path, "/a/b");
  EXPECT_EQ(rules[0].bytes, 2u << 20);
  EXPECT_EQ(rules[0].inodes, 5u);
  EXPECT_EQ(rules[1].path, "/x=y");
}

TEST(QuotaRules, WrongRulesAreQuoted) {
  for (const char* rule : {"path:=1m", "path:builds=1m", "path:/=1m", "path://=1m", "path:*=1m"}) {
    EXPECT_THAT(Error(rule), HasSubstr("names no directory below the root")) << rule;
  }
  EXPECT_THAT(Error("1g"), HasSubstr("'1g' is no rule like uid:1000=2g"));
  EXPECT_THAT(Error("uid:1=1g,who:3=1g"), HasSubstr("'who:3' begins with none of"));
  EXPECT_THAT(Error("uid=1g"), HasSubstr("'uid' names no user"));
  EXPECT_THAT(Error("uid:=1g"), HasSubstr("'uid:' names no user"));
  EXPECT_THAT(Error("uid:nobody-there=1g"), HasSubstr("'uid:nobody-there' names no user"));
  EXPECT_THAT(Error("gid:nobody-there=1g"), HasSubstr("names no group"));
  EXPECT_THAT(Error("uid:4294967295=1g"), HasSubstr("names no user"));
  EXPECT_THAT(Error("uid:1="), HasSubstr("'uid:1=' has no limit"));
  EXPECT_THAT(Error("uid:1=/"), HasSubstr("has no limit"));
  EXPECT_THAT(Error("uid:1=lots"), HasSubstr("'uid:1=lots' has no size"));
  EXPECT_THAT(Error("uid:1=-1"), HasSubstr("has no size"));
  EXPECT_THAT(Error("uid:1=1m/many"), HasSubstr("has no count of inodes"));
  EXPECT_THAT(Error("uid:1=1m/5%"), HasSubstr("has no count of inodes"));
}

}  // namespace
}  // namespace memfuse::cli
