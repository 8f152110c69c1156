// What the control socket answers to administrators and to other users.

#include "src/control/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "tests/testing/caller.h"

namespace memfuse::control {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr uid_t kAdministrator = 500;

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    MemoryFileSystemOptions options;
    options.size_limit = 8 << 20;
    options.inode_limit = 100;
    options.root_mode = 0777;
    options.quotas = {{QuotaKind::kUser, 1000, 1 << 20, kNoQuota}};
    fs_ = *MemoryFileSystem::Make(options);
    ApiFacts facts;
    facts.version = "1.2";
    facts.mount_point = "/mnt/\xff";
    facts.asked_data = "auto";
    facts.asked_transport = "uring";
    facts.is_administrator = [this](const Peer& peer) {
      return (peer.uid == 0 && root_is_administrator_) || peer.uid == kAdministrator;
    };
    facts.start = absl::Now() - absl::Seconds(90);
    facts.mounted = facts.start - absl::Seconds(910);
    facts.takeovers = 3;
    api_ = std::make_unique<Api>(
        facts, fs_.get(), [this] { return statistics_; }, [] { return RecentRequestList(); },
        [](uint32_t) { return std::string_view("LOOKUP"); });
    const test::Caller alice(fs_.get(), 1000, 100);
    const auto made = alice.Create(kRootInode, "file");
    EXPECT_TRUE(made.ok());
    EXPECT_TRUE(alice.Write(made->entry.ino, 0, std::string(100'000, 'x')).ok());
    EXPECT_FALSE(alice.Fallocate(made->entry.ino, 0, 0, 2 << 20).ok());
  }

  static Peer Of(uid_t uid, gid_t gid = 9) { return {uid, gid, 1}; }
  HttpResponse Request(const Peer& peer, const std::string& method, const std::string& path,
                       const std::string& body = "") {
    const size_t path_end = std::min(path.find('?'), path.size());
    Answer answer = api_->Answer({method, path.substr(0, path_end), body, peer,
                                  path.substr(std::min(path_end + 1, path.size()))});
    if (auto* const now = std::get_if<HttpResponse>(&answer)) return *now;
    return std::get<std::unique_ptr<LongAnswer>>(answer)->Compute();
  }
  json Get(const Peer& peer, const std::string& path) {
    const HttpResponse response = Request(peer, "GET", path);
    EXPECT_EQ(response.status, 200);
    return json::parse(response.body);
  }
  HttpResponse Put(const Peer& peer, const std::string& body) {
    return Request(peer, "PUT", "/v1/limits", body);
  }

  // LOOKUP, SETATTR (never requested) and READ.
  static std::vector<OperationStatistics> SomeStatistics() {
    std::vector<OperationStatistics> operations(3);
    operations[0].name = "LOOKUP";
    operations[0].requests = 7;
    operations[0].errors = 4;
    operations[0].error_numbers = {{0, 1}, {ENOENT, 3}};
    operations[0].latency.counts[1] = 6;
    operations[0].latency.counts[23] = 1;
    operations[0].latency.sum_nanoseconds = 5'000'000'000;
    operations[1].name = "SETATTR";
    operations[2].name = "READ";
    operations[2].requests = 5;
    operations[2].bytes = 4096;
    return operations;
  }

  bool root_is_administrator_ = true;
  const std::vector<OperationStatistics> statistics_ = SomeStatistics();
  std::unique_ptr<MemoryFileSystem> fs_;
  std::unique_ptr<Api> api_;
};

TEST_F(ApiTest, StatisticsOfEachOperation) {
  const json statistics = Get(Of(77), "/v1/statistics");
  EXPECT_GE(statistics["uptime_seconds"], 90);
  const json& operations = statistics["operations"];
  EXPECT_THAT(operations, SizeIs(2)) << "those that were requested";
  const json& lookup = operations["LOOKUP"];
  EXPECT_EQ(lookup["requests"], 7);
  EXPECT_EQ(lookup["errors"], 4);
  EXPECT_EQ(lookup["error_numbers"], json({{"ENOENT", 3}, {"other", 1}}));
  EXPECT_EQ(operations["READ"]["bytes"], 4096);
  const json& latency = lookup["latency"];
  EXPECT_EQ(latency["count"], 7);
  EXPECT_DOUBLE_EQ(latency["sum_seconds"].get<double>(), 5);
  EXPECT_NEAR(latency["p50_seconds"].get<double>(), 1.024e-6 * (1 + 3.5 / 6), 1e-12);
  EXPECT_NEAR(latency["p99_seconds"].get<double>(), 4.294967296, 1e-9);
  ASSERT_THAT(latency["buckets"], SizeIs(24));
  EXPECT_NEAR(latency["buckets"][1][0].get<double>(), 2.048e-6, 1e-12);
  EXPECT_EQ(latency["buckets"][1][1], 6);
  EXPECT_TRUE(latency["buckets"][23][0].is_null());
  EXPECT_EQ(Request(Of(0), "PUT", "/v1/statistics").status, 405);
  EXPECT_EQ(Get(Of(77), "/v1/top")["requests"], 0);
  EXPECT_EQ(Request(Of(0), "PUT", "/v1/top").status, 405);
}

TEST_F(ApiTest, StatusHasTotalsForEveryUser) {
  const json status = Get(Of(77), "/v1/status");
  EXPECT_EQ(status["version"], "1.2");
  EXPECT_EQ(status["asked"]["data"], "auto");
  EXPECT_EQ(status["asked"]["transport"], "uring");
  EXPECT_EQ(status["size"]["limit"], 8 << 20);
  EXPECT_EQ(status["size"]["used"].get<uint64_t>(), fs_->Usage().bytes_used);
  EXPECT_EQ(status["size"]["data"].get<uint64_t>() + status["size"]["metadata"].get<uint64_t>(),
            fs_->Usage().bytes_used);
  EXPECT_EQ(status["inodes"]["used"], 2);
  EXPECT_EQ(status["requests"]["total"], 12);
  EXPECT_EQ(status["requests"]["by_operation"]["LOOKUP"], 7);
  EXPECT_GE(status["uptime_seconds"], 1000) << "of the file system";
  EXPECT_EQ(status["takeovers"], 3);
  EXPECT_EQ(status["read_only"], false);
  EXPECT_THAT(status["refusals"], SizeIs(0)) << "those of another user";
}

TEST_F(ApiTest, RefusalsAreShownToTheirUserAndToAdministrators) {
  for (const uid_t uid : {uid_t{0}, kAdministrator, uid_t{1000}}) {
    const json refusals = Get(Of(uid), "/v1/status")["refusals"];
    ASSERT_THAT(refusals, SizeIs(1)) << uid;
    EXPECT_EQ(refusals[0]["of"], "uid");
    EXPECT_EQ(refusals[0]["id"], 1000);
    EXPECT_EQ(refusals[0]["limit"], "bytes");
    EXPECT_EQ(refusals[0]["asked"], (2 << 20) - 25 * 4096) << "pages exist";
  }
}

// A user without CAP_SYS_ADMIN is no administrator, also if its ID is 0.
TEST_F(ApiTest, OtherUsersSeeTheRefusalsThatTheKernelToldToBeTheirs) {
  root_is_administrator_ = false;
  const test::Caller root(fs_.get());
  const auto entry = root.Create(kRootInode, "large");
  ASSERT_TRUE(entry.ok());
  test::Caller unknown(fs_.get());
  unknown.set_thread(77);
  EXPECT_FALSE(unknown.Fallocate(entry->entry.ino, 0, 0, 16 << 20).ok());
  EXPECT_THAT(Get(Of(0), "/v1/status")["refusals"], SizeIs(0)) << "the kernel told no user";
  const json all = Get(Of(kAdministrator), "/v1/status")["refusals"];
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0]["of"], "file system");
  EXPECT_EQ(all[0]["pid"], 77);
  EXPECT_TRUE(all[0]["uid"].is_null());
  EXPECT_EQ(all[1]["uid"], 1000);
  EXPECT_FALSE(root.Fallocate(entry->entry.ino, 0, 0, 16 << 20).ok());
  const json own = Get(Of(0), "/v1/status")["refusals"];
  ASSERT_THAT(own, SizeIs(1));
  EXPECT_EQ(own[0]["uid"], 0);
  EXPECT_EQ(own[0]["count"], 2);
  EXPECT_THAT(Get(Of(1000), "/v1/status")["refusals"], SizeIs(1)) << "of the own quota";
}

TEST_F(ApiTest, OtherUsersSeeTheRefusalsOfTheirGroupWithoutItsProcesses) {
  ASSERT_EQ(Put(Of(0), R"({"quotas": [{"kind": "gid", "id": 100, "inodes": 1}]})").status, 200);
  EXPECT_FALSE(test::Caller(fs_.get(), 1001, 100).Create(kRootInode, "more").ok());
  const json refusals = Get(Of(77, 100), "/v1/status")["refusals"];
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_EQ(refusals[0]["of"], "gid");
  EXPECT_EQ(refusals[0]["id"], 100);
  EXPECT_EQ(refusals[0]["pid"], 0);
  EXPECT_TRUE(refusals[0]["uid"].is_null()) << "another member of the group";
  EXPECT_EQ(Get(Of(1001, 100), "/v1/status")["refusals"][0]["uid"], 1001);
  EXPECT_EQ(Get(Of(1001, 5), "/v1/status")["refusals"][0]["uid"], 1001) << "caused it";
  EXPECT_THAT(Get(Of(77, 5), "/v1/status")["refusals"], SizeIs(0));
}

TEST_F(ApiTest, AQuotaOfAnotherUserIsNotShownToTheUserWhoMetIt) {
  const test::Caller alice(fs_.get(), 1000, 100);
  const test::Caller bob(fs_.get(), 1001, 100);
  const auto file = alice.Lookup(kRootInode, "file");
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(bob.Fallocate(file->ino, 0, 0, 2 << 20).ok());
  EXPECT_EQ(Get(Of(0), "/v1/status")["refusals"][0]["uid"], 1001);
  EXPECT_THAT(Get(Of(1001), "/v1/status")["refusals"], SizeIs(0));
  const json own = Get(Of(1000), "/v1/status")["refusals"];
  ASSERT_THAT(own, SizeIs(1));
  EXPECT_TRUE(own[0]["uid"].is_null());
  // The process is shown as long as it is not known to be that of another user.
  test::Caller unknown(fs_.get());
  unknown.set_thread(77);
  EXPECT_FALSE(unknown.Fallocate(file->ino, 0, 0, 2 << 20).ok());
  EXPECT_EQ(Get(Of(1000), "/v1/status")["refusals"][0]["pid"], 77);
}

TEST_F(ApiTest, UsageOfOthersIsForAdministrators) {
  EXPECT_THAT(Get(Of(0), "/v1/usage")["owners"], SizeIs(4));  // users 0, 1000; groups 0, 100
  EXPECT_THAT(Get(Of(kAdministrator), "/v1/usage")["owners"], SizeIs(4));
  EXPECT_THAT(Get(Of(77), "/v1/usage")["owners"], SizeIs(0));
  const json own = Get(Of(1000, 100), "/v1/usage")["owners"];
  ASSERT_THAT(own, SizeIs(2));
  EXPECT_EQ(own[0]["kind"], "uid");
  EXPECT_EQ(own[0]["id"], 1000);
  EXPECT_GE(own[0]["bytes"], 100'000);
  EXPECT_EQ(own[0]["byte_limit"], 1 << 20);
  EXPECT_TRUE(own[0]["inode_limit"].is_null());
  EXPECT_EQ(own[1]["kind"], "gid");
}

TEST_F(ApiTest, QuotasOfOthersAreForAdministrators) {
  EXPECT_THAT(Get(Of(0), "/v1/limits")["quotas"], SizeIs(1));
  EXPECT_THAT(Get(Of(1000), "/v1/limits")["quotas"], SizeIs(1));
  EXPECT_THAT(Get(Of(77), "/v1/limits")["quotas"], SizeIs(0));
}

TEST_F(ApiTest, AdministratorsChangeLimits) {
  const HttpResponse set =
      Put(Of(kAdministrator), R"({"size": 16777216, "nr_inodes": 50, "quotas": [
          {"kind": "uid", "id": "*", "bytes": 4096, "inodes": 3},
          {"kind": "gid", "id": 5, "bytes": 8192},
          {"kind": "uid", "id": 1000, "bytes": null}]})");
  ASSERT_EQ(set.status, 200) << set.body;
  EXPECT_EQ(fs_->Usage().size_limit, 16u << 20);
  EXPECT_EQ(fs_->Usage().inode_limit, 50u);
  const json quotas = json::parse(set.body)["quotas"];
  ASSERT_THAT(quotas, SizeIs(3));
  EXPECT_TRUE(quotas[1]["bytes"].is_null()) << "user 1000 is exempt from the default";
  EXPECT_EQ(quotas[0]["id"], "*");
  EXPECT_EQ(quotas[0]["inodes"], 3);
  EXPECT_EQ(quotas[2]["kind"], "gid");
  EXPECT_TRUE(quotas[2]["inodes"].is_null());
}

TEST_F(ApiTest, AQuotaKeepsTheLimitThatIsNotNamed) {
  ASSERT_EQ(Put(Of(0), R"({"quotas": [{"kind": "uid", "id": 1000, "inodes": 7}]})").status, 200);
  ASSERT_EQ(fs_->Quotas().size(), 1u);
  EXPECT_EQ(fs_->Quotas()[0].bytes, 1u << 20);
  EXPECT_EQ(fs_->Quotas()[0].inodes, 7u);
}

TEST_F(ApiTest, DirectoriesHaveQuotas) {
  const test::Caller root(fs_.get());
  const auto tree = root.Mkdir(kRootInode, "tree", 0777);
  ASSERT_TRUE(tree.ok());
  ASSERT_TRUE(root.Mkdir(kRootInode, "full").ok());
  ASSERT_TRUE(root.Create(root.Lookup(kRootInode, "full")->ino, "file").ok());
  const HttpResponse set =
      Put(Of(0), R"({"quotas": [{"kind": "path", "path": "/tree", "bytes": 4096, "inodes": 2}]})");
  ASSERT_EQ(set.status, 200) << set.body;
  EXPECT_EQ(json::parse(set.body)["quotas"].back(),
            json({{"kind", "path"}, {"path", "/tree"}, {"bytes", 4096}, {"inodes", 2}}));
  ASSERT_EQ(Put(Of(0), R"({"quotas": [{"kind": "path", "path": "/tree", "inodes": 1}]})").status,
            200);
  EXPECT_EQ(fs_->Quotas().back().bytes, 4096u) << "the limit that is not named stays";
  ASSERT_EQ(Put(Of(0), R"({"quotas": [{"kind": "path", "path": "//tree/", "inodes": 1}]})").status,
            200);
  EXPECT_EQ(fs_->Quotas().back().bytes, 4096u) << "the path names the same directory";

  const test::Caller alice(fs_.get(), 1000, 100);
  EXPECT_FALSE(alice.Create(tree->ino, "file").ok());
  EXPECT_EQ(Get(Of(0), "/v1/status")["refusals"][0]["path"], "/tree");
  const json refusal = Get(Of(1000), "/v1/status")["refusals"][0];
  EXPECT_EQ(refusal["of"], "path");
  EXPECT_EQ(refusal["id"], ToInt(tree->ino));
  EXPECT_EQ(refusal.count("path"), 0u) << "a path may be secret";
  EXPECT_EQ(Get(Of(0), "/v1/usage")["owners"].back()["path"], "/tree");
  const json own = Get(Of(1000, 100), "/v1/usage")["owners"];
  for (const json& owner : own) {
    EXPECT_NE(owner["kind"], "path") << "a path may be secret";
  }

  const auto error = [&](const std::string& quota) {
    const HttpResponse response = Put(Of(0), R"({"quotas": [)" + quota + "]}");
    EXPECT_NE(response.status, 200) << quota;
    return std::to_string(response.status) + " " + response.body;
  };
  EXPECT_THAT(error(R"({"kind": "path", "path": "/full", "bytes": 1})"),
              HasSubstr("'/full' is not empty"));
  EXPECT_THAT(error(R"({"kind": "path", "path": "/none", "bytes": 1})"), HasSubstr("409"));
  EXPECT_THAT(error(R"({"kind": "path", "path": "/../x", "bytes": 1})"),
              HasSubstr("is no path of a directory"));
  EXPECT_THAT(error(R"({"kind": "path", "id": 5, "bytes": 1})"), HasSubstr("400"));
  EXPECT_THAT(error(R"({"kind": "path", "bytes": 1})"),
              HasSubstr("'path' of a quota is no string"));
  EXPECT_THAT(error(R"({"kind": "uid", "path": "/x", "id": 5})"), HasSubstr("400"));
}

TEST_F(ApiTest, ADeepBodyIsRefused) {
  for (const std::string open : {"[", "{\"quotas\":"}) {
    std::string body = "{\"quotas\":";
    while (body.size() < 60'000) body += open;
    EXPECT_EQ(Put(Of(0), body).status, 400);
  }
  const std::string arrays(30'000, '[');
  EXPECT_EQ(Put(Of(0), "{\"quotas\":" + arrays + std::string(30'000, ']') + "}").status, 400);
}

TEST_F(ApiTest, OtherUsersDoNotChangeLimits) {
  EXPECT_EQ(Put(Of(1000), R"({"size": 16777216})").status, 403);
  EXPECT_EQ(fs_->Usage().size_limit, 8u << 20);
}

TEST_F(ApiTest, AWrongChangeChangesNothing) {
  for (const std::string& body : std::vector<std::string>{
           "", "[]", "nonsense", R"({"size": -1})", R"({"size": "2g"})", R"({"size": 1.5})",
           R"({"colour": 1})", R"({"quotas": 5})", R"({"quotas": [5]})",
           R"({"size": 16777216, "quotas": [{"kind": "pid", "id": 1}]})",
           R"({"size": 16777216, "quotas": [{"kind": "uid", "id": -1}]})",
           R"({"size": 16777216, "quotas": [{"kind": "uid", "id": 4294967295}]})",
           R"({"size": 16777216, "quotas": [{"kind": "uid", "id": 1, "byte": 1}]})",
           R"({"size": 1e300})", R"({"size": 9223372036854775807})"}) {
    const HttpResponse set = Put(Of(0), body);
    EXPECT_EQ(set.status, 400) << body;
    EXPECT_TRUE(json::parse(set.body)["error"].is_string());
  }
  for (const char* const name : {"size", "nr_inodes"}) {
    const HttpResponse set = Put(Of(0), std::string("{\"") + name + "\": 0}");
    EXPECT_EQ(set.status, 400);
    EXPECT_THAT(set.body, HasSubstr("' is 0; leave it out to keep the present limit"));
  }
  EXPECT_EQ(Put(Of(0), R"({"size": 4096})").status, 409);
  EXPECT_EQ(Put(Of(0), R"({"nr_inodes": 1})").status, 409);
  EXPECT_EQ(fs_->Usage().size_limit, 8u << 20);
  EXPECT_EQ(fs_->Quotas().size(), 1u);
}

TEST_F(ApiTest, ARefusedDirectoryChangesNothing) {
  const test::Caller root(fs_.get());
  ASSERT_TRUE(root.Mkdir(kRootInode, "empty").ok());
  ASSERT_TRUE(root.Create(root.Mkdir(kRootInode, "full")->ino, "file").ok());
  const HttpResponse set = Put(Of(0), R"({"size": 16777216, "nr_inodes": 50, "quotas": [
      {"kind": "uid", "id": 5, "bytes": 4096},
      {"kind": "path", "path": "/empty", "bytes": 4096},
      {"kind": "path", "path": "/full", "bytes": 4096}]})");
  EXPECT_EQ(set.status, 409) << set.body;
  EXPECT_THAT(set.body, HasSubstr("'/full' is not empty"));
  EXPECT_EQ(fs_->Usage().size_limit, 8u << 20);
  EXPECT_EQ(fs_->Usage().inode_limit, 100u);
  EXPECT_EQ(fs_->Quotas().size(), 1u);
  // Neither does a refused size.
  EXPECT_EQ(Put(Of(0), R"({"size": 4096, "quotas": [
      {"kind": "path", "path": "/empty", "bytes": 4096}]})")
                .status,
            409);
  EXPECT_EQ(fs_->Quotas().size(), 1u);
}

TEST_F(ApiTest, APeerWithoutIdentityIsRefused) {
  for (const auto& [method, path, body] :
       {std::tuple("GET", "/v1/status", ""), std::tuple("GET", "/v1/usage", ""),
        std::tuple("PUT", "/v1/limits", R"({"size": 16777216})")}) {
    const Answer answer = api_->Answer({method, path, body, std::nullopt});
    EXPECT_EQ(std::get<HttpResponse>(answer).status, 403) << path;
  }
  EXPECT_EQ(fs_->Usage().size_limit, 8u << 20);
}

TEST_F(ApiTest, OtherPathsAndMethodsAreErrors) {
  EXPECT_EQ(Request(Of(0), "GET", "/").status, 404);
  EXPECT_EQ(Request(Of(0), "GET", "/v1/../v1/status").status, 404);
  EXPECT_EQ(Request(Of(0), "POST", "/v1/status").status, 405);
  EXPECT_EQ(Request(Of(0), "DELETE", "/v1/limits").status, 405);
  EXPECT_THAT(Request(Of(0), "GET", "/v2").body, HasSubstr("there is no '/v2'"));
}

}  // namespace
}  // namespace memfuse::control
