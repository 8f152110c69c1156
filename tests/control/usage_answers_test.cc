// GET /v1/usage: directories, types, large files and deleted files, for administrators and others.

#include "src/control/usage_answers.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "src/control/query.h"
#include "tests/testing/caller.h"

namespace memfuse::control {
namespace {

using nlohmann::json;
using ::testing::SizeIs;

class UsageAnswersTest : public ::testing::Test {
 protected:
  UsageAnswersTest() {
    dir_ = root_.Mkdir(kRootInode, "dir")->ino;
    file_ = root_.Mknod(root_.Mkdir(dir_, "sub")->ino, "big\n\xff", S_IFREG | 0600)->ino;
    EXPECT_TRUE(root_.Write(file_, 0, std::string(100'000, 'x')).ok());
    EXPECT_TRUE(root_.Mkdir(kRootInode, "empty").ok());
  }

  HttpResponse Ask(const std::string& query, bool administrator = true, uid_t uid = 0) {
    const auto question = ParseUsageQuery(query);
    EXPECT_TRUE(question.ok()) << query << ": " << question.status();
    Answer answer = answers_->Find(*question, {uid, uid, 1}, administrator);
    if (auto* const now = std::get_if<HttpResponse>(&answer)) return *now;
    return std::get<std::unique_ptr<LongAnswer>>(answer)->Compute();
  }
  json Get(const std::string& query, bool administrator = true, uid_t uid = 0) {
    const HttpResponse response = Ask(query, administrator, uid);
    EXPECT_EQ(response.status, 200) << response.body;
    json answer = json::parse(response.body);
    EXPECT_TRUE(answer["complete"]);
    EXPECT_GE(answer["age_seconds"], 0);
    return answer;
  }

  static MemoryFileSystemOptions Options() {
    MemoryFileSystemOptions options;
    options.root_mode = 0777;
    return options;
  }

  const std::unique_ptr<MemoryFileSystem> fs_ = *MemoryFileSystem::Make(Options());
  UsageWalk::Clock::duration step_ = std::chrono::seconds(1);
  UsageWalk::Clock::time_point now_;
  const std::unique_ptr<UsageAnswers> answers_ =
      std::make_unique<UsageAnswers>(fs_.get(), [this] { return now_ += step_; });
  const test::Caller root_{fs_.get()};
  InodeNumber dir_;
  InodeNumber file_;
};

TEST_F(UsageAnswersTest, Directories) {
  const json root = Get("by=dir");
  EXPECT_EQ(root["path"], "/");
  EXPECT_EQ(root["total"]["bytes"].get<uint64_t>(), fs_->Usage().bytes_used);
  EXPECT_EQ(root["total"]["inodes"], 5);
  ASSERT_THAT(root["directories"], SizeIs(2));
  EXPECT_EQ(root["directories"][0]["name"], "dir");
  EXPECT_EQ(root["directories"][0]["inodes"], 3);
  EXPECT_EQ(root["directories"][0]["disk_usage"], 102'400);
  EXPECT_EQ(root["other"]["count"], 0);
  EXPECT_EQ(root["files"]["inodes"], 1) << "the root itself";
  const json one = Get("by=dir&limit=1");
  EXPECT_THAT(one["directories"], SizeIs(1));
  EXPECT_EQ(one["other"]["count"], 1);
  EXPECT_EQ(one["other"]["bytes"], root["directories"][1]["bytes"]);
  EXPECT_EQ(Get("by=dir&path=/dir/sub")["total"]["inodes"], 2);
  EXPECT_EQ(Ask("by=dir&path=/none").status, 404);
  EXPECT_EQ(Ask("by=dir&path=/dir/sub/big%0A%FF").status, 404);
  EXPECT_EQ(Ask("by=dir&path=/dir/../dir").status, 400);
  EXPECT_TRUE(json::parse(Ask("by=dir&path=/%FF").body)["error"].is_string());
}

TEST_F(UsageAnswersTest, TypesAndLargestFiles) {
  const json types = Get("by=type")["types"];
  ASSERT_THAT(types, SizeIs(6));
  EXPECT_EQ(types[0]["type"], "regular");
  EXPECT_EQ(types[0]["inodes"], 1);
  EXPECT_EQ(types[1]["inodes"], 4);
  EXPECT_EQ(types[5]["type"], "socket");
  EXPECT_EQ(Get("by=type&path=/empty")["types"][0]["inodes"], 0);
  const json largest = Get("largest=3")["largest"];
  ASSERT_THAT(largest, SizeIs(1));
  EXPECT_EQ(largest[0]["path"], "/dir/sub/big\n\xef\xbf\xbd") << "U+FFFD for what is no UTF-8";
  EXPECT_EQ(largest[0]["encoded"], "/dir/sub/big%0A%FF");
  EXPECT_EQ(largest[0]["ino"], ToInt(file_));
  EXPECT_EQ(largest[0]["size"], 100'000);
}

TEST_F(UsageAnswersTest, DeletedFilesOfOthersAreForAdministrators) {
  const test::Caller alice(fs_.get(), 1000, 100);
  for (const test::Caller& caller : {root_, alice}) {
    ASSERT_TRUE(caller.Create(kRootInode, "open", 0600, 0, O_RDWR).ok());
    ASSERT_TRUE(caller.Unlink(kRootInode, "open").ok());
  }
  const json all = Get("deleted=1");
  EXPECT_THAT(all["inodes"], SizeIs(2));
  EXPECT_EQ(all["being_freed"], 0);
  EXPECT_THAT(Get("deleted=1&limit=1")["inodes"], SizeIs(1));
  EXPECT_EQ(Get("deleted=1&limit=1")["total"]["inodes"], 2);
  const json own = Get("deleted=1", false, 1000);
  ASSERT_THAT(own["inodes"], SizeIs(1));
  EXPECT_EQ(own["inodes"][0]["uid"], 1000);
  EXPECT_EQ(own["inodes"][0]["opens"], 1);
  EXPECT_EQ(own["total"]["inodes"], 1);
  EXPECT_THAT(Get("deleted=1", false, 77)["inodes"], SizeIs(0));
}

TEST_F(UsageAnswersTest, NamesAreForAdministrators) {
  for (const std::string query : {"by=dir", "by=dir&path=/dir", "by=dir&path=/none", "largest=1",
                                  "by=type&path=/dir", "by=type&path=/none"}) {
    const HttpResponse refused = Ask(query, false, 1000);
    EXPECT_EQ(refused.status, 403) << query;
    EXPECT_EQ(json::parse(refused.body)["error"],
              "only root and the user who runs the daemon may see directories and files");
  }
  EXPECT_THAT(Get("by=type", false, 1000)["types"], SizeIs(6));
}

// Each look at the clock of the test moves it by a second, so a walk takes one second.
TEST_F(UsageAnswersTest, AResultIsUsedAgainForAWhile) {
  const json first = Get("by=dir");
  EXPECT_EQ(first["walk_seconds"], 1);
  ASSERT_TRUE(root_.Mkdir(kRootInode, "new").ok());
  const json second = Get("by=type", false, 1000);  // no walk
  EXPECT_EQ(second["total"], first["total"]);
  EXPECT_GT(second["age_seconds"], first["age_seconds"]);
  EXPECT_EQ(Get("by=dir&path=/empty")["total"]["inodes"], 1) << "another directory";
  // For an administrator the result is used for as long as the walk took.
  EXPECT_EQ(Get("by=dir")["total"]["inodes"], 6);
  ASSERT_TRUE(root_.Mkdir(kRootInode, "newer").ok());
  EXPECT_EQ(Get("by=type", false, 1000)["total"]["inodes"], 6);
  now_ += std::chrono::seconds(20);
  EXPECT_EQ(Get("by=type", false, 1000)["total"]["inodes"], 7);
}

TEST_F(UsageAnswersTest, ACancelledWalkIsNotUsedAgain) {
  Answer answer = answers_->Find(*ParseUsageQuery("by=dir"), {}, true);
  auto& walk = std::get<std::unique_ptr<LongAnswer>>(answer);
  walk->Cancel();
  const HttpResponse cancelled = walk->Compute();
  EXPECT_EQ(cancelled.status, 503);
  EXPECT_EQ(json::parse(cancelled.body)["error"], "the walk was stopped; ask again in 1 second");
  EXPECT_EQ(Get("by=dir")["total"]["inodes"], 5);
}

// Each look at the clock moves it by a second, so a walk takes a second.
TEST_F(UsageAnswersTest, TheWalksOfAUserTakeATwentiethOfTheTime) {
  EXPECT_EQ(Get("deleted=1", false, 1000)["total"]["inodes"], 0);
  const HttpResponse refused = Ask("by=type", false, 1000);
  EXPECT_EQ(refused.status, 503) << "another question of the same user";
  EXPECT_EQ(json::parse(refused.body)["retry_after_seconds"], 17.0) << "two looks at the clock";
  EXPECT_EQ(refused.fields,
            (std::vector<std::pair<std::string, std::string>>{{"Retry-After", "17"}}));
  EXPECT_EQ(json::parse(refused.body)["error"],
            "the walks of a user take at most a twentieth of the time; ask again in 17 seconds");
  EXPECT_EQ(Get("deleted=1", false, 1000)["walk_seconds"], 1) << "the remembered result";
  EXPECT_EQ(Get("deleted=1", false, 1001)["walk_seconds"], 1) << "another user";
  EXPECT_EQ(Get("by=dir&path=/dir")["walk_seconds"], 1) << "an administrator";
  EXPECT_EQ(Get("by=dir&path=/empty")["walk_seconds"], 1) << "an administrator again";
  EXPECT_EQ(Ask("by=type", false, 1000).status, 503);
  now_ += std::chrono::seconds(20);
  EXPECT_EQ(Get("by=type", false, 1000)["walk_seconds"], 1);
}

TEST_F(UsageAnswersTest, ACancelledWalkIsCharged) {
  Answer answer = answers_->Find(*ParseUsageQuery("by=type"), {1000, 1000, 1}, false);
  auto& walk = std::get<std::unique_ptr<LongAnswer>>(answer);
  walk->Cancel();
  EXPECT_EQ(json::parse(walk->Compute().body)["error"],
            "the walk was stopped; ask again in 18 seconds");
  EXPECT_EQ(Ask("by=type", false, 1000).status, 503);
  EXPECT_EQ(Ask("deleted=1", false, 1000).status, 503);
  EXPECT_EQ(Ask("by=type", false, 1001).status, 200);
}

// More questions than results that are remembered.
TEST_F(UsageAnswersTest, AWalkWhoseResultIsForgottenIsCharged) {
  EXPECT_EQ(Ask("deleted=1", false, 1000).status, 200);
  for (uid_t uid = 2000; uid < 2000 + UsageAnswers::kMaxRemembered; ++uid) {
    EXPECT_EQ(Ask("deleted=1", false, uid).status, 200);
  }
  EXPECT_EQ(Ask("deleted=1", false, 1000).status, 503);
}

TEST_F(UsageAnswersTest, ClientsWithoutIdentityCountAsOneUser) {
  const auto ask = [&](const std::string& query) {
    return answers_->FindWithNames(*ParseUsageQuery(query))->Compute().status;
  };
  EXPECT_EQ(ask("by=dir&path=/none"), 404);
  EXPECT_EQ(ask("by=dir&path=/dir"), 503) << "also a walk that found nothing is charged";
  now_ += std::chrono::seconds(20);
  EXPECT_EQ(ask("by=dir&path=/dir"), 200);
  EXPECT_EQ(ask("by=dir&path=/empty"), 503);
  EXPECT_EQ(Ask("by=type", false, 1000).status, 200);
}

TEST_F(UsageAnswersTest, NoWalkIsInProgress) {
  const json progress = json::parse(answers_->Progress().body);
  EXPECT_EQ(progress["walking"], false);
  EXPECT_EQ(progress["visited"], 0);
}

TEST_F(UsageAnswersTest, QueriesAreStrict) {
  EXPECT_EQ(ParseUsageQuery("")->kind, UsageQuestion::Kind::kOwners);
  EXPECT_EQ(*ParseUsageQuery("by=gid")->owners, QuotaKind::kGroup);
  EXPECT_EQ(*ParseUsageQuery("by=path")->owners, QuotaKind::kTree);
  EXPECT_EQ(ParseUsageQuery("largest=7&path=/a%20b")->limit, 7u);
  EXPECT_EQ(ParseUsageQuery("largest=7&path=/a%20b")->path, "/a b");
  EXPECT_EQ(ParseUsageQuery("by=type&path=///")->path, "/");
  EXPECT_EQ(ParseUsageQuery("by=type&path=//a///b/")->path, "/a/b");
  for (const std::string& query : std::vector<std::string>{"by=",
                                                           "by=name",
                                                           "by=dir&by=type",
                                                           "by=dir&deleted=1",
                                                           "largest=1&by=type",
                                                           "deleted=0",
                                                           "deleted=",
                                                           "largest=0",
                                                           "largest=1001",
                                                           "largest=-1",
                                                           "largest=x",
                                                           "by=dir&limit=0",
                                                           "by=dir&limit=1001",
                                                           "by=dir&limit=18446744073709551617",
                                                           "by=dir&limit=%201",
                                                           "limit=5",
                                                           "by=uid&limit=5",
                                                           "largest=5&limit=5",
                                                           "path=/",
                                                           "by=uid&path=/",
                                                           "deleted=1&path=/",
                                                           "by=dir&path=",
                                                           "by=dir&path=a",
                                                           "by=dir&depth=1",
                                                           "by=dir&path=/%00",
                                                           "by=dir&",
                                                           "BY=dir"}) {
    const auto question = ParseUsageQuery(query);
    EXPECT_FALSE(question.ok()) << query;
    EXPECT_FALSE(question.status().message().empty());
  }
}

}  // namespace
}  // namespace memfuse::control
