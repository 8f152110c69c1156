// The order of long answers, and their bounds.

#include "src/control/long_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/event_count.h"
#include "src/base/unique_fd.h"

namespace memfuse::control {
namespace {

using ::testing::ElementsAre;

class LongAnswersTest : public ::testing::Test {
 protected:
  // An answer that ends when it is permitted or cancelled.
  class Walk final : public LongAnswer {
   public:
    Walk(LongAnswersTest* test, std::string name) : test_(*test), name_(std::move(name)) {}
    HttpResponse Compute() override {
      test_.begun_.fetch_add(1);
      test_.changed_.Notify();
      for (;;) {
        const uint64_t seen = test_.changed_.version();
        if (cancelled_.load()) return {503, name_ + " stopped"};
        if (test_.open_.load()) return {200, name_};
        test_.changed_.WaitForChange(seen);
      }
    }
    void Cancel() override {
      cancelled_.store(true);
      test_.changed_.Notify();
    }

   private:
    LongAnswersTest& test_;
    const std::string name_;
    std::atomic<bool> cancelled_{false};
  };

  bool Ask(const std::string& name, std::optional<uid_t> uid, bool privileged) {
    return answers_->Submit(
               uid, privileged, std::make_unique<Walk>(this, name),
               [this](HttpResponse response) { answered_.push_back(response.body); }) != nullptr;
  }
  void AwaitBegun(int count) {
    for (;;) {
      const uint64_t seen = changed_.version();
      if (begun_.load() >= count) return;
      changed_.WaitForChange(seen);
    }
  }
  // Lets the answers end, and returns `count` answers in the order of their end.
  std::vector<std::string> Answers(size_t count) {
    open_.store(true);
    changed_.Notify();
    while (answered_.size() < count) {
      eventfd_t ready;
      EXPECT_EQ(eventfd_read(descriptor_.get(), &ready), 0);
      answers_->Deliver();
    }
    return answered_;
  }

  const base::UniqueFd descriptor_{eventfd(0, EFD_CLOEXEC)};
  base::EventCount changed_;
  std::atomic<int> begun_{0};
  std::atomic<bool> open_{false};
  std::vector<std::string> answered_;
  std::unique_ptr<LongAnswers> answers_ =
      std::make_unique<LongAnswers>(descriptor_.get(), "answers");
};

TEST_F(LongAnswersTest, AdministratorsComeFirst) {
  EXPECT_TRUE(Ask("root 1", 0, true));
  AwaitBegun(1);
  EXPECT_TRUE(Ask("alice", 1000, false));
  EXPECT_TRUE(Ask("bob", 1001, false));
  EXPECT_TRUE(Ask("root 2", 0, true));
  EXPECT_TRUE(Ask("root 3", 0, true));
  EXPECT_TRUE(Ask("carol", 1002, false));
  EXPECT_THAT(Answers(6), ElementsAre("root 1", "root 2", "root 3", "alice", "bob", "carol"));
}

TEST_F(LongAnswersTest, AnAdministratorStopsTheWalkOfAnotherUser) {
  EXPECT_TRUE(Ask("alice", 1000, false));
  EXPECT_TRUE(Ask("bob", 1001, false));
  AwaitBegun(1);
  EXPECT_TRUE(Ask("root 1", 0, true));
  AwaitBegun(2);
  EXPECT_TRUE(Ask("root 2", 0, true));
  EXPECT_THAT(Answers(4), ElementsAre("alice stopped", "root 1", "root 2", "bob"))
      << "the walk of an administrator goes on";
}

TEST_F(LongAnswersTest, TheBoundOfAUserIsNotThatOfClientsWithoutIdentity) {
  EXPECT_TRUE(Ask("root", 0, true));
  AwaitBegun(1);
  for (size_t i = 0; i < LongAnswers::kMaxOfUser; ++i) EXPECT_TRUE(Ask("alice", 1000, false));
  EXPECT_FALSE(Ask("alice", 1000, false));
  const size_t rest = LongAnswers::kMaxJobs / 2 - LongAnswers::kMaxOfUser;
  for (size_t i = 0; i < rest; ++i) EXPECT_TRUE(Ask("unknown", std::nullopt, false));
  EXPECT_FALSE(Ask("unknown", std::nullopt, false));
  EXPECT_FALSE(Ask("bob", 1001, false));
  EXPECT_TRUE(Ask("root", 0, true));
  (void)Answers(1);
}

}  // namespace
}  // namespace memfuse::control
