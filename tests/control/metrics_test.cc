// The metrics of a file system with quotas and refusals.

#include "src/control/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/testing/caller.h"

namespace memfuse::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    MemoryFileSystemOptions options;
    options.size_limit = 64 << 20;
    options.inode_limit = 1000;
    options.root_mode = 0777;
    options.quotas = {{QuotaKind::kUser, 1000, 1 << 20, kNoQuota}};
    fs_ = *MemoryFileSystem::Make(options);
    OperationStatistics lookup;
    lookup.name = "LOOKUP";
    lookup.requests = 9;
    lookup.errors = 3;
    lookup.error_numbers = {{0, 1}, {ENOENT, 2}};
    lookup.latency.counts[4] = 7;
    OperationStatistics read;
    read.name = "READ";
    read.requests = 1;
    read.bytes = 12345;
    read.latency.counts[0] = 1;
    OperationStatistics never;
    never.name = "SETATTR";
    statistics_ = {lookup, read, never};
    ApiFacts facts;
    facts.version = "1.2";
    facts.mount_point = "/mnt/\"x\"";
    facts.store = "daemon";
    facts.transport = "/dev/fuse, 3 threads";
    facts.threads = 3;
    facts.start = absl::FromUnixSeconds(1'000'000);
    facts.takeovers = 2;
    usage_ = std::make_unique<UsageCache>(fs_.get());
    metrics_ =
        std::make_unique<Metrics>(facts, fs_.get(), usage_.get(), [this] { return statistics_; });
  }

  HttpResponse Request(const std::string& method) {
    Answer answer = metrics_->Answer({method, "/metrics", "", std::nullopt});
    if (auto* const later = std::get_if<std::unique_ptr<LongAnswer>>(&answer)) {
      return (*later)->Compute();
    }
    return std::get<HttpResponse>(std::move(answer));
  }
  std::string Text() {
    const HttpResponse response = Request("GET");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
    return response.body;
  }
  // The samples of a metric, without its name.
  static std::vector<std::string> Samples(const std::string& text, const std::string& name) {
    std::vector<std::string> samples;
    for (const auto line : absl::StrSplit(text, '\n')) {
      if (absl::StartsWith(line, name + "{") || absl::StartsWith(line, name + " ")) {
        samples.emplace_back(line.substr(name.size()));
      }
    }
    return samples;
  }
  void Store(uint32_t uid, size_t bytes) {
    const test::Caller caller(fs_.get(), uid, 100);
    const auto made = caller.Create(kRootInode, "of" + std::to_string(uid));
    ASSERT_TRUE(made.ok());
    ASSERT_TRUE(caller.Write(made->entry.ino, 0, std::string(bytes, 'x')).ok());
  }

  std::vector<OperationStatistics> statistics_;
  std::unique_ptr<MemoryFileSystem> fs_;
  std::unique_ptr<UsageCache> usage_;
  std::unique_ptr<Metrics> metrics_;
};

TEST_F(MetricsTest, MountAndProcess) {
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("memfuse_info{version=\"1.2\",mount_point=\"/mnt/\\\"x\\\"\",store="
                              "\"daemon\",transport=\"/dev/fuse, 3 threads\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_threads 3\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_takeovers_total 2\n"));
  EXPECT_THAT(text, HasSubstr("\nprocess_start_time_seconds 1000000\n"));
  EXPECT_THAT(Samples(text, "process_cpu_seconds_total"), SizeIs(1));
  EXPECT_THAT(Samples(text, "process_resident_memory_bytes"), SizeIs(1));
}

TEST_F(MetricsTest, Space) {
  Store(5, 100'000);
  const MemoryFileSystemUsage usage = fs_->Usage();
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("\nmemfuse_size_bytes 67108864\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_used_bytes{kind=\"data\"} 102400\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_used_bytes{kind=\"metadata\"} " +
                              std::to_string(usage.bytes_used - usage.data_bytes) + "\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_inodes_limit 1000\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_inodes 2\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_removed_inodes 0\n"));
}

TEST_F(MetricsTest, Requests) {
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("\nmemfuse_requests_total{operation=\"LOOKUP\"} 9\n"
                              "memfuse_requests_total{operation=\"READ\"} 1\n#"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_requests_in_progress 2\n"));
  EXPECT_THAT(
      text, HasSubstr("\nmemfuse_request_errors_total{operation=\"LOOKUP\",error=\"other\"} 1\n"
                      "memfuse_request_errors_total{operation=\"LOOKUP\",error=\"ENOENT\"} 2\n#"));
  EXPECT_THAT(text, HasSubstr("memfuse_request_duration_seconds_count{operation=\"LOOKUP\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_read_bytes_total 12345\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_written_bytes_total 0\n"));
}

TEST_F(MetricsTest, RemovedFilesAreShownUntilTheyAreFreed) {
  const test::Caller caller(fs_.get(), 5, 100);
  const auto made = caller.Create(kRootInode, "file");
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(caller.Write(made->entry.ino, 0, std::string(100'000, 'x')).ok());
  ASSERT_TRUE(caller.Release(made->entry.ino).ok());
  ASSERT_TRUE(caller.Unlink(kRootInode, "file").ok());
  EXPECT_THAT(Text(), HasSubstr("\nmemfuse_removed_inodes 1\n"));
  EXPECT_GE(fs_->Usage().removed_bytes, 100'000u);
  fs_->Forget({made->entry.ino, 1});
  EXPECT_THAT(Text(), HasSubstr("\nmemfuse_removed_bytes 0\n"));
}

TEST_F(MetricsTest, QuotasAndRefusals) {
  Store(1000, 8192);
  const test::Caller caller(fs_.get(), 1000, 100);
  const auto made = caller.Create(kRootInode, "large");
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(caller.Fallocate(made->entry.ino, 0, 0, 2 << 20).ok());
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("\nmemfuse_quota_limit_bytes{kind=\"uid\",id=\"1000\"} 1048576\n"));
  EXPECT_THAT(Samples(text, "memfuse_quota_limit_bytes"), SizeIs(1));
  EXPECT_THAT(Samples(text, "memfuse_quota_limit_inodes"), SizeIs(0));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_quota_used_inodes{kind=\"uid\",id=\"1000\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\nmemfuse_refusals_total{limit=\"bytes\",owner=\"uid\",id=\"1000\"} "
                              "1\n"));
}

TEST_F(MetricsTest, OnlyTheLargestOwnersAreShown) {
  for (uint32_t uid = 2000; uid < 2000 + Metrics::kMaxOwners + 20; ++uid) {
    Store(uid, uid < 2020 ? 4096 : 8192);
  }
  const std::string text = Text();
  // One group, and that of the root directory.
  EXPECT_THAT(Samples(text, "memfuse_quota_used_bytes"), SizeIs(Metrics::kMaxOwners + 2));
  EXPECT_THAT(text, Not(HasSubstr("id=\"2019\"")));
  EXPECT_THAT(text, HasSubstr("id=\"2020\""));
}

TEST_F(MetricsTest, OtherMethodsAreErrors) {
  EXPECT_EQ(Request("HEAD").status, 200);
  const HttpResponse put = Request("PUT");
  EXPECT_EQ(put.status, 405);
  EXPECT_EQ(put.allow, "GET, HEAD");
  EXPECT_EQ(put.content_type, "text/plain; charset=utf-8");
}

}  // namespace
}  // namespace memfuse::control
