#include "src/control/usage_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "tests/testing/caller.h"

namespace memfuse::control {
namespace {

class UsageCacheTest : public ::testing::Test {
 protected:
  // Answers with the number of users.
  Answer Ask() {
    return cache_.Ask([](const UsageCache::Usage& usage) {
      int users = 0;
      for (const QuotaUsage& owner : usage) users += owner.kind == QuotaKind::kUser ? 1 : 0;
      return HttpResponse{200, std::to_string(users)};
    });
  }
  static bool IsLong(const Answer& answer) {
    return std::holds_alternative<std::unique_ptr<LongAnswer>>(answer);
  }

  const std::unique_ptr<MemoryFileSystem> fs_ = *MemoryFileSystem::Make({});
  base::MonotonicTime now_ = base::MonotonicTime() + std::chrono::hours(1);
  // Each look at the clock moves it by a second, so the computation takes one.
  UsageCache cache_{fs_.get(), [this] { return now_ += std::chrono::seconds(1); }};
};

TEST_F(UsageCacheTest, ItIsComputedOnAnotherThreadAndUsedAgain) {
  Answer first = Ask();
  Answer second = Ask();
  ASSERT_TRUE(IsLong(first));
  ASSERT_TRUE(IsLong(second));
  auto& later = std::get<std::unique_ptr<LongAnswer>>(first);
  EXPECT_EQ(later->kind(), LongAnswer::Kind::kSummary);
  EXPECT_EQ(later->Compute().body, "1");
  const test::Caller alice(fs_.get(), 1000, 100);
  ASSERT_TRUE(alice.Create(kRootInode, "file").ok());
  EXPECT_EQ(std::get<std::unique_ptr<LongAnswer>>(second)->Compute().body, "1");
  const Answer third = Ask();
  ASSERT_FALSE(IsLong(third));
  EXPECT_EQ(std::get<HttpResponse>(third).body, "1");
  now_ += std::chrono::seconds(kUsageShare);
  Answer fourth = Ask();
  ASSERT_TRUE(IsLong(fourth));
  EXPECT_EQ(std::get<std::unique_ptr<LongAnswer>>(fourth)->Compute().body, "2");
}

}  // namespace
}  // namespace memfuse::control
