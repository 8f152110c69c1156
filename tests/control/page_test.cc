// The page and its documents, and the hosts for which the port answers.

#include "src/control/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "src/control/web_port.h"
#include "tests/testing/caller.h"

namespace memfuse::control {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// A name that is markup, and one that is no UTF-8.
constexpr char kMarkup[] = "<img src=x onerror=alert(1)>";
constexpr char kNoUtf8[] = "a\xff\xfe";

class PageTest : public ::testing::Test {
 protected:
  PageTest() {
    OperationStatistics lookup;
    lookup.name = "LOOKUP";
    lookup.requests = 9;
    lookup.latency.counts[4] = 7;
    statistics_ = {lookup};
    facts_.version = "1.2";
    facts_.mount_point = "/mnt";
    facts_.start = absl::Now() - absl::Seconds(100);
    facts_.mounted = facts_.start - absl::Seconds(900);
    history_.Offer(absl::UnixEpoch(), {1000, 2000, 3});
    history_.Offer(absl::UnixEpoch() + absl::Hours(1), {4600, 2001, 4});
    MakePort(/*show_directories=*/false);
  }

  static std::unique_ptr<MemoryFileSystem> MakeFileSystem() {
    MemoryFileSystemOptions options;
    options.size_limit = 64 << 20;
    options.inode_limit = 1000;
    options.root_mode = 0777;
    QuotaRule tree;
    tree.kind = QuotaKind::kTree;
    tree.path = "/secret";
    tree.inodes = 2;
    options.quotas = {{QuotaKind::kUser, 1000, 1 << 20, kNoQuota}, tree};
    return *MemoryFileSystem::Make(options);
  }

  void MakePort(bool show_directories) {
    facts_.show_directories = show_directories;
    port_ = std::make_unique<WebPort>(
        "127.0.0.1", /*any_host=*/false, facts_, fs_.get(), [this] { return statistics_; },
        &history_);
  }

  HttpResponse Answer(const HttpRequest& request) {
    control::Answer answer = port_->Answer(request);
    if (auto* const later = std::get_if<std::unique_ptr<LongAnswer>>(&answer)) {
      return (*later)->Compute();
    }
    return std::get<HttpResponse>(std::move(answer));
  }
  // Asks again while the last walk is charged: no event tells when the next one may begin.
  HttpResponse Get(const std::string& path, const std::string& query = "") {
    for (;;) {
      HttpResponse response = Answer({"GET", path, "", std::nullopt, query, "localhost:9410"});
      if (response.status != 503) return response;
    }
  }
  json Document(const std::string& path, const std::string& query = "") {
    const HttpResponse response = Get(path, query);
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.content_type, "application/json");
    return json::parse(response.body);
  }
  static std::string FieldOf(const HttpResponse& response, const std::string& name) {
    for (const auto& [field, value] : response.fields) {
      if (field == name) return value;
    }
    return "";
  }

  // Fills the tree with a quota, which refuses the second inode in it.
  void FillTree() {
    const auto entry = me_.Lookup(kRootInode, "secret");
    ASSERT_TRUE(entry.ok());
    ASSERT_TRUE(me_.Mkdir(entry->ino, "a").ok());
    ASSERT_FALSE(me_.Mkdir(entry->ino, "b").ok());
  }

  ApiFacts facts_;
  UsageHistory history_;
  std::vector<OperationStatistics> statistics_;
  const std::unique_ptr<MemoryFileSystem> fs_ = MakeFileSystem();
  const test::Caller me_{fs_.get(), 0, 0};
  std::unique_ptr<WebPort> port_;
};

TEST_F(PageTest, TheFilesNeedNothingFromElsewhere) {
  const HttpResponse page = Get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, StartsWith("<!DOCTYPE html>"));
  const HttpResponse script = Get("/page.js");
  EXPECT_EQ(script.content_type, "text/javascript; charset=utf-8");
  EXPECT_THAT(script.body, HasSubstr("'use strict';"));
  EXPECT_EQ(Get("/page.css").content_type, "text/css; charset=utf-8");
  for (const std::string path : {"/", "/page.css", "/page.js"}) {
    const HttpResponse file = Get(path);
    EXPECT_EQ(file.status, 200) << path;
    EXPECT_FALSE(absl::StrContains(file.body, "https://")) << path;
    EXPECT_FALSE(absl::StrContains(file.body, "innerHTML")) << path;
    EXPECT_FALSE(absl::StrContains(file.body, " style=")) << path;
    const std::string policy = FieldOf(file, "Content-Security-Policy");
    EXPECT_THAT(policy, StartsWith("default-src 'none'; script-src 'self'; style-src 'self';"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
    EXPECT_EQ(FieldOf(file, "Set-Cookie"), "");
  }
}

TEST_F(PageTest, AFileThatTheClientHasIsNotSentAgain) {
  const std::string etag = FieldOf(Get("/page.js"), "ETag");
  EXPECT_THAT(etag, SizeIs(18));
  EXPECT_NE(etag, FieldOf(Get("/page.css"), "ETag"));
  HttpRequest request{"GET", "/page.js", "", std::nullopt, "", "localhost", etag};
  EXPECT_EQ(Answer(request).status, 304);
  EXPECT_EQ(Answer(request).body, "");
  request.if_none_match = "\"0123456789abcdef\"";
  EXPECT_EQ(Answer(request).status, 200);
}

TEST_F(PageTest, TheStatusHasTheNumbersOfTheFileSystem) {
  FillTree();
  const json status = Document("/status.json");
  const MemoryFileSystemUsage usage = fs_->Usage();
  EXPECT_EQ(status["size"]["limit"], usage.size_limit);
  EXPECT_EQ(status["size"]["used"], usage.bytes_used);
  EXPECT_EQ(status["inodes"], json({{"limit", 1000}, {"used", usage.inodes_used}}));
  EXPECT_NEAR(status["uptime"].get<double>(), 100, 50);
  EXPECT_NEAR(status["age"].get<double>(), 1000, 50);
  ASSERT_THAT(status["users"], SizeIs(1));
  EXPECT_EQ(status["users"][0]["id"], 0);
  EXPECT_EQ(status["users"][0]["inodes"], usage.inodes_used);
  ASSERT_THAT(status["quotas"], SizeIs(2));
  EXPECT_EQ(status["quotas"][0]["kind"], "path") << "the fullest first";
  EXPECT_EQ(status["quotas"][0]["inode_limit"], 2);
  EXPECT_EQ(status["quotas"][1]["byte_limit"], 1 << 20);
  EXPECT_EQ(status["quotas"][1]["inode_limit"], json(nullptr));
  ASSERT_THAT(status["refusals"], SizeIs(1));
  EXPECT_EQ(status["refusals"][0]["limit"], "inodes");
  EXPECT_EQ(status["refusals"][0]["uid"], 0);
  EXPECT_EQ(status["refusals"][0]["left"], 0);
  EXPECT_EQ(status["operations"]["LOOKUP"]["requests"], 9);
}

TEST_F(PageTest, TheHistoryIsSentOnce) {
  const json all = Document("/status.json")["history"];
  EXPECT_EQ(all["samples"], json::parse("[[1000, 2000, 3], [4600, 2001, 4]]"));
  EXPECT_EQ(all["next"], 2);
  EXPECT_EQ(Document("/status.json", "from=1")["history"]["samples"],
            json::parse("[[4600, 2001, 4]]"));
  EXPECT_EQ(Document("/status.json", "from=2")["history"]["samples"], json::array());
  for (const char* const query : {"from=", "from=x", "from=-1", "from=1&x=2", "to=1", "%"}) {
    EXPECT_EQ(Get("/status.json", query).status, 400) << query;
  }
}

TEST_F(PageTest, PathsAreShownOnlyIfThatIsPermitted) {
  FillTree();
  for (const char* const path : {"/status.json", "/metrics"}) {
    EXPECT_THAT(Get(path).body, Not(HasSubstr("secret"))) << path;
  }
  const std::string ino = std::to_string(ToInt(me_.Lookup(kRootInode, "secret")->ino));
  EXPECT_THAT(Get("/metrics").body, HasSubstr("{kind=\"path\",id=\"" + ino + "\"}"));
  EXPECT_EQ(Get("/directories.json", "path=/").status, 403);
  EXPECT_EQ(Document("/status.json")["directories"], false);

  MakePort(/*show_directories=*/true);
  const json status = Document("/status.json");
  EXPECT_EQ(status["directories"], true);
  EXPECT_EQ(status["quotas"][0]["path"], "/secret");
  EXPECT_EQ(status["refusals"][0]["path"], "/secret");
  EXPECT_THAT(Get("/metrics").body, HasSubstr("{kind=\"path\",id=\"/secret\"}"));
}

TEST_F(PageTest, DirectoriesAreFoundByAnyName) {
  MakePort(/*show_directories=*/true);
  for (const char* const name : {kMarkup, kNoUtf8}) {
    const auto directory = me_.Mkdir(kRootInode, name);
    ASSERT_TRUE(directory.ok());
    ASSERT_TRUE(me_.Mkdir(directory->ino, "inside").ok());
  }
  const json root = Document("/directories.json", "path=/");
  ASSERT_THAT(root["directories"], SizeIs(3));
  int found = 0;
  for (const json& row : root["directories"]) {
    if (row["name"] == kMarkup) {
      ++found;
      EXPECT_EQ(row.count("encoded"), 0u) << "the client can encode it";
    }
    if (row["name"] == "a\xef\xbf\xbd\xef\xbf\xbd") {
      ++found;
      EXPECT_EQ(row["encoded"], "a%FF%FE");
      const json inside = Document("/directories.json", "path=/a%FF%FE");
      ASSERT_THAT(inside["directories"], SizeIs(1));
      EXPECT_EQ(inside["directories"][0]["name"], "inside");
    }
  }
  EXPECT_EQ(found, 2);
  EXPECT_EQ(Get("/directories.json", "path=/missing").status, 404);
  for (const char* const query :
       {"", "path=", "path=x", "path=/&by=dir", "by=type", "path=/&path=/"}) {
    EXPECT_EQ(Get("/directories.json", query).status, 400) << query;
  }
}

TEST_F(PageTest, OtherPathsAndMethodsAreErrors) {
  for (const char* const path :
       {"/index.html", "/page.html", "/v1/status", "/page.js/", "", "//"}) {
    EXPECT_EQ(Get(path).status, 404) << path;
  }
  for (const char* const path : {"/", "/page.js", "/status.json", "/directories.json"}) {
    const HttpResponse response = Answer({"POST", path, "", std::nullopt, "", "localhost"});
    EXPECT_EQ(response.status, 405) << path;
    EXPECT_EQ(response.allow, "GET, HEAD") << path;
  }
  EXPECT_EQ(Answer({"HEAD", "/", "", std::nullopt, "", "localhost"}).status, 200);
}

TEST(IsHostOfTest, OnlyTheAddressAndLocalhost) {
  for (const char* const host :
       {"127.0.0.1", "127.0.0.1:9410", "127.0.0.1:80", "localhost", "LocalHost:9410", ""}) {
    EXPECT_TRUE(IsHostOf("127.0.0.1", host)) << host;
  }
  for (const char* const host :
       {"127.0.0.2", "127.0.0.1.evil.example", "evil.example:9410", "localhost.evil.example",
        "[::1]:9410", "127.0.0.1:x", "localhost:9410:9410", ":9410", "[", "]", "x", " localhost"}) {
    EXPECT_FALSE(IsHostOf("127.0.0.1", host)) << host;
  }
  for (const char* const host : {"[::1]", "[::1]:9410", "[0:0:0:0:0:0:0:1]:9410", "localhost"}) {
    EXPECT_TRUE(IsHostOf("::1", host)) << host;
  }
  for (const char* const host : {"::1", "[::2]:9410", "127.0.0.1", "[127.0.0.1]"}) {
    EXPECT_FALSE(IsHostOf("::1", host)) << host;
  }
}

TEST_F(PageTest, ARequestForAnotherHostIsRefused) {
  HttpRequest request{"GET", "/metrics", "", std::nullopt, "", "evil.example:9410"};
  for (const char* const path : {"/metrics", "/", "/status.json", "/directories.json"}) {
    request.path = path;
    EXPECT_EQ(Answer(request).status, 421) << path;
  }
  port_ = std::make_unique<WebPort>(
      "0.0.0.0", /*any_host=*/true, facts_, fs_.get(), [this] { return statistics_; }, &history_);
  request.path = "/metrics";
  EXPECT_EQ(Answer(request).status, 200);
}

}  // namespace
}  // namespace memfuse::control
