// The sums of GET /v1/top.

#include "src/control/top_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

namespace memfuse::control {
namespace {

using nlohmann::json;
using ::testing::SizeIs;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kNow = 1000 * kSecond;

std::optional<base::Process> FindProcess(uint32_t thread) {
  if (thread == 11 || thread == 12) return base::Process{11, 1000, "make"};
  if (thread == 20) return base::Process{20, 2000, "cc1plus"};
  return std::nullopt;
}
constexpr uint32_t kLookup = 1;
constexpr uint32_t kRead = 15;
std::string_view OpcodeName(uint32_t opcode) { return opcode == kLookup ? "LOOKUP" : "READ"; }
std::string FindPath(InodeNumber ino) { return ToInt(ino) == 5 ? "/builds" : std::string(); }

class TopAnswerTest : public ::testing::Test {
 protected:
  void Add(uint32_t thread, uint64_t ino, uint64_t age = kSecond,
           std::optional<uint32_t> uid = std::nullopt, uint32_t opcode = kLookup) {
    RecentRequest request;
    request.opcode = opcode;
    request.pid = thread;
    request.uid = uid;
    request.ino = InodeNumber{ino};
    request.latency_nanoseconds = 1000;
    request.start_nanoseconds = kNow - age - request.latency_nanoseconds;
    recent_.requests.push_back(request);
  }
  json Top(std::optional<uint32_t> only_uid = std::nullopt) const {
    return Answers().Get(only_uid);
  }
  TopAnswers Answers() const {
    return TopAnswers(
        {[this] { return recent_; }, OpcodeName, FindPath, FindProcess, [this] { return now_; }});
  }

  RecentRequestList recent_;
  uint64_t now_ = kNow;
};

TEST_F(TopAnswerTest, NothingHappened) {
  const json top = Top();
  EXPECT_EQ(top["requests"], 0);
  EXPECT_EQ(top["seconds"], kTopSeconds);
  for (const char* list : {"processes", "users", "directories"}) EXPECT_THAT(top[list], SizeIs(0));
}

TEST_F(TopAnswerTest, AddsUpByProcessUserAndDirectory) {
  for (int i = 0; i < 4; ++i) Add(11, 5);
  Add(12, 7);
  for (int i = 0; i < 4; ++i) Add(20, 5);
  Add(99, 0, kSecond, 3000);  // the process has ended; the kernel told the user
  Add(98, 5);
  Add(97, 5);
  Add(0, 7);  // the kernel
  const json top = Top();
  EXPECT_EQ(top["requests"], 13);
  EXPECT_NEAR(top["busy_seconds"].get<double>(), 13e-6, 1e-12);
  ASSERT_THAT(top["processes"], SizeIs(5));
  for (const json& process : top["processes"]) {
    if (process["pid"].is_null() && process["uid"].is_null()) {
      EXPECT_EQ(process["requests"], 2) << "those that have ended are added up";
    }
    if (process["pid"] == 0) {
      EXPECT_EQ(process["requests"], 1);
    }
  }
  const json& make = top["processes"][0];
  EXPECT_EQ(make["pid"], 11);
  EXPECT_EQ(make["name"], "make");
  EXPECT_EQ(make["uid"], 1000);
  EXPECT_EQ(make["requests"], 5);
  EXPECT_EQ(top["processes"][1]["name"], "cc1plus");
  ASSERT_THAT(top["users"], SizeIs(4));
  EXPECT_EQ(top["users"][0]["uid"], 1000);
  EXPECT_EQ(top["users"][1]["uid"], 2000);
  bool user_is_known = false;
  bool user_is_unknown = false;
  for (const json& user : top["users"]) {
    user_is_known |= user["uid"] == 3000;
    user_is_unknown |= user["uid"].is_null();
  }
  EXPECT_TRUE(user_is_known && user_is_unknown);
  ASSERT_THAT(top["directories"], SizeIs(1));
  EXPECT_EQ(top["directories"][0]["path"], "/builds");
  EXPECT_EQ(top["directories"][0]["requests"], 10);
}

TEST_F(TopAnswerTest, OnlyTheLastSecondsCount) {
  Add(11, 5, 11 * kSecond);
  Add(11, 5, 9 * kSecond);
  EXPECT_EQ(Top()["requests"], 1);
  EXPECT_EQ(Top()["seconds"], kTopSeconds);
  recent_.since_nanoseconds = kNow - 2 * kSecond;
  Add(11, 5, kSecond);
  EXPECT_EQ(Top()["requests"], 1);
  EXPECT_EQ(Top()["seconds"], 2.0);
  recent_.since_nanoseconds = ~uint64_t{0};
  EXPECT_EQ(Top()["requests"], 0);
  EXPECT_EQ(Top()["seconds"], 0.0);
}

TEST_F(TopAnswerTest, AUserSeesOnlyHisProcesses) {
  Add(11, 5);
  Add(20, 5);
  const json top = Top(2000);
  EXPECT_EQ(top["requests"], 2) << "a total";
  ASSERT_THAT(top["processes"], SizeIs(1));
  EXPECT_EQ(top["processes"][0]["pid"], 20);
  ASSERT_THAT(top["users"], SizeIs(1));
  EXPECT_EQ(top["users"][0]["uid"], 2000);
  EXPECT_THAT(top["directories"], SizeIs(0));
}

TEST_F(TopAnswerTest, ListsAreBounded) {
  for (uint32_t thread = 1000; thread < 3000; ++thread) Add(thread, 5, kSecond, thread);
  const json top = Top();
  EXPECT_EQ(top["requests"], 2000);
  EXPECT_THAT(top["processes"], SizeIs(kMaxTopRows));
  EXPECT_THAT(top["users"], SizeIs(kMaxTopRows));
}

TEST_F(TopAnswerTest, FilesThatAreBusierHideNoDirectory) {
  Add(11, 5);
  for (uint64_t file = 1000; file < 2000; ++file) {
    for (int i = 0; i < 2; ++i) Add(11, file, kSecond, std::nullopt, kRead);
  }
  const json top = Top();
  EXPECT_EQ(top["requests"], 2001);
  ASSERT_THAT(top["directories"], SizeIs(1));
  EXPECT_EQ(top["directories"][0]["requests"], 1) << "only those that name the directory";
}

TEST_F(TopAnswerTest, TheSumsOfAShortTimeAreSharedByAllClients) {
  TopAnswers answers = Answers();
  EXPECT_EQ(answers.Get(77)["requests"], 0);
  Add(11, 5);
  now_ += TopAnswers::kMaxAgeNanoseconds - 1;
  EXPECT_EQ(answers.Get(std::nullopt)["requests"], 0);
  EXPECT_THAT(answers.Get(std::nullopt)["directories"], SizeIs(0));
  ++now_;
  EXPECT_EQ(answers.Get(77)["requests"], 1);
  EXPECT_THAT(answers.Get(std::nullopt)["directories"], SizeIs(1));
}

TEST(FindProcessTest, FindsTheProcessOfAThread) {
  std::thread([] {
    const auto thread = static_cast<uint32_t>(syscall(SYS_gettid));
    const auto process = base::FindProcess(thread);
    ASSERT_TRUE(process.has_value());
    EXPECT_EQ(process->pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(process->uid, geteuid());
    EXPECT_EQ(process->name.substr(0, 12), "control_test");
  }).join();
  EXPECT_FALSE(base::FindProcess(0).has_value());
  EXPECT_FALSE(base::FindProcess(0x7fffffff).has_value());
}

}  // namespace
}  // namespace memfuse::control
