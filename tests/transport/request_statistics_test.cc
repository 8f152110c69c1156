// The counters and the ring of recent requests of one worker, alone and beside readers.

#include "src/transport/request_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/types/span.h"

namespace memfuse::transport {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<OperationStatistics> Read(const RequestStatistics& statistics) {
  std::vector<OperationStatistics> sums(protocol::kOpcodeLimit);
  statistics.AddTo(absl::MakeSpan(sums));
  return sums;
}

RecentRequest Served(uint32_t opcode, int error, uint64_t latency) {
  RecentRequest request;
  request.opcode = opcode;
  request.error = error;
  request.latency_nanoseconds = latency;
  return request;
}

TEST(LatencyHistogramTest, BucketsAreBoundedByPowersOfTwo) {
  EXPECT_EQ(LatencyHistogram::BucketOf(0), 0u);
  EXPECT_EQ(LatencyHistogram::UpperBound(0), 1024u);
  EXPECT_EQ(LatencyHistogram::UpperBound(22), uint64_t{1} << 32);
  for (size_t bucket = 0; bucket + 1 < LatencyHistogram::kBuckets; ++bucket) {
    const uint64_t bound = LatencyHistogram::UpperBound(bucket);
    EXPECT_EQ(LatencyHistogram::BucketOf(bound), bucket);
    EXPECT_EQ(LatencyHistogram::BucketOf(bound + 1), bucket + 1);
  }
  EXPECT_EQ(LatencyHistogram::UpperBound(23), LatencyHistogram::kUnbounded);
  EXPECT_EQ(LatencyHistogram::BucketOf(UINT64_MAX), 23u);
}

TEST(LatencyHistogramTest, QuantilesAreInterpolated) {
  LatencyHistogram latency;
  EXPECT_EQ(latency.Quantile(0.5), 0);
  latency.counts[0] = 100;
  EXPECT_DOUBLE_EQ(latency.Quantile(0.5), 512);
  latency.counts[3] = 100;  // 4096 to 8192
  EXPECT_DOUBLE_EQ(latency.Quantile(0.5), 1024);
  EXPECT_DOUBLE_EQ(latency.Quantile(0.75), 4096 + 2048);
  EXPECT_DOUBLE_EQ(latency.Quantile(1), 8192);
  latency.counts[23] = 1;
  EXPECT_DOUBLE_EQ(latency.Quantile(1), static_cast<double>(uint64_t{1} << 32));
}

TEST(LatencyHistogramTest, SumsAndDifferences) {
  LatencyHistogram first;
  first.counts[2] = 5;
  first.sum_nanoseconds = 50;
  LatencyHistogram second = first;
  second += first;
  EXPECT_EQ(second.total(), 10u);
  second.counts[4] = 1;
  second.sum_nanoseconds += 7;
  second -= first;
  EXPECT_EQ(second.counts[2], 5u);
  EXPECT_EQ(second.counts[4], 1u);
  EXPECT_EQ(second.sum_nanoseconds, 57u);
}

TEST(RequestStatisticsTest, CountsOutcomesByOpcode) {
  const auto statistics = std::make_unique<RequestStatistics>();
  for (int i = 0; i < 3; ++i) statistics->Begin(FUSE_READ);
  statistics->Begin(FUSE_LOOKUP);
  statistics->End(Served(FUSE_READ, 0, 1000), 4096);
  statistics->End(Served(FUSE_READ, 0, 5000), 512);
  statistics->End(Served(FUSE_LOOKUP, ENOENT, 10), 0);
  const std::vector<OperationStatistics> sums = Read(*statistics);
  const OperationStatistics& read = sums[FUSE_READ];
  EXPECT_EQ(read.requests, 3u);
  EXPECT_EQ(read.latency.total(), 2u) << "one is in progress";
  EXPECT_EQ(read.latency.counts[0], 1u);
  EXPECT_EQ(read.latency.counts[3], 1u);
  EXPECT_EQ(read.latency.sum_nanoseconds, 6000u);
  EXPECT_EQ(read.bytes, 4608u);
  EXPECT_EQ(read.errors, 0u);
  EXPECT_THAT(read.error_numbers, IsEmpty());
  EXPECT_EQ(sums[FUSE_LOOKUP].errors, 1u);
  EXPECT_EQ(statistics->total(), 4u);
}

TEST(RequestStatisticsTest, ErrorsAreCountedByNumberAsFarAsThereAreCounters) {
  const auto statistics = std::make_unique<RequestStatistics>();
  for (const int error : {20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 20}) {
    statistics->Begin(FUSE_MKDIR);
    statistics->End(Served(FUSE_MKDIR, error, 1), 0);
  }
  const std::vector<OperationStatistics> sums = Read(*statistics);
  const OperationStatistics& mkdir = sums[FUSE_MKDIR];
  EXPECT_EQ(mkdir.errors, 11u);
  ASSERT_THAT(mkdir.error_numbers, SizeIs(9));
  EXPECT_EQ(mkdir.error_numbers[0].number, 0);
  EXPECT_EQ(mkdir.error_numbers[0].count, 2u) << "11 and 12";
  EXPECT_EQ(mkdir.error_numbers[1].number, 13);
  EXPECT_EQ(mkdir.error_numbers[8].number, 20);
  EXPECT_EQ(mkdir.error_numbers[8].count, 2u);
}

TEST(RequestStatisticsTest, NumbersThatAreNoOpcodesAreOneOperation) {
  const auto statistics = std::make_unique<RequestStatistics>();
  for (const uint32_t opcode : {7u, 64u, 0xffffffffu}) {
    statistics->Begin(opcode);
    statistics->End(Served(opcode, ENOSYS, 1), 0);
  }
  EXPECT_EQ(Read(*statistics)[0].requests, 3u);
  EXPECT_EQ(Read(*statistics)[0].errors, 3u);
}

TEST(RequestStatisticsTest, WorkersAddUp) {
  const auto first = std::make_unique<RequestStatistics>();
  const auto second = std::make_unique<RequestStatistics>();
  for (RequestStatistics* const statistics : {first.get(), second.get()}) {
    statistics->Begin(FUSE_OPEN);
    statistics->End(Served(FUSE_OPEN, EACCES, 100), 0);
  }
  std::vector<OperationStatistics> sums(protocol::kOpcodeLimit);
  first->AddTo(absl::MakeSpan(sums));
  second->AddTo(absl::MakeSpan(sums));
  EXPECT_EQ(sums[FUSE_OPEN].requests, 2u);
  ASSERT_THAT(sums[FUSE_OPEN].error_numbers, SizeIs(1));
  EXPECT_EQ(sums[FUSE_OPEN].error_numbers[0].count, 2u);
}

TEST(RecentRequestsTest, KeepsEveryMember) {
  RecentRequests recent;
  RecentRequest request;
  request.opcode = 52;
  request.error = 4095;
  request.ino = InodeNumber{~uint64_t{0}};
  request.uid = 0xfffffffe;
  request.pid = 0xffffffff;
  request.start_nanoseconds = ~uint64_t{0};
  request.latency_nanoseconds = uint64_t{1} << 50;
  recent.Add(request);
  request.uid = std::nullopt;
  request.latency_nanoseconds = 77;
  recent.Add(request);
  std::vector<RecentRequest> got;
  recent.AppendTo(&got);
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_EQ(got[0].opcode, 52u);
  EXPECT_EQ(got[0].error, 4095);
  EXPECT_EQ(got[0].ino, InodeNumber{~uint64_t{0}});
  EXPECT_EQ(got[0].uid, 0xfffffffeu);
  EXPECT_EQ(got[0].pid, 0xffffffffu);
  EXPECT_EQ(got[0].start_nanoseconds, ~uint64_t{0});
  EXPECT_EQ(got[0].latency_nanoseconds, (uint64_t{1} << 40) - 1);
  EXPECT_EQ(got[1].uid, std::nullopt);
  EXPECT_EQ(got[1].latency_nanoseconds, 77u);
}

TEST(RecentRequestsTest, KeepsTheLatest) {
  RecentRequests recent;
  for (uint32_t i = 0; i < 3 * RecentRequests::kCapacity + 5; ++i) {
    RecentRequest request;
    request.pid = i;
    recent.Add(request);
  }
  std::vector<RecentRequest> got(3);
  recent.AppendTo(&got);
  ASSERT_THAT(got, SizeIs(3 + RecentRequests::kCapacity));
  for (size_t i = 0; i < RecentRequests::kCapacity; ++i) {
    EXPECT_EQ(got[3 + i].pid, 2 * RecentRequests::kCapacity + 5 + i);
  }
}

// All members of an entry follow from its number, so a reader recognises a mixture of two entries.
RecentRequest Numbered(uint64_t number) {
  RecentRequest request;
  request.opcode = static_cast<uint32_t>(number % 64);
  request.error = static_cast<int>(number % 4096);
  request.ino = InodeNumber{number * 0x9e3779b97f4a7c15u};
  request.uid = static_cast<uint32_t>(number % 1'000'003);
  request.pid = static_cast<uint32_t>(number);
  request.start_nanoseconds = number;
  request.latency_nanoseconds = number % 999'983;
  return request;
}

TEST(RecentRequestsTest, AReaderSeesWholeEntriesInOrderWhileTheyAreOverwritten) {
  RecentRequests recent;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint64_t number = 0; !stop.load(std::memory_order_relaxed); ++number) {
      recent.Add(Numbered(number));
    }
  });
  size_t seen = 0;
  uint64_t last = 0;
  std::vector<RecentRequest> got;
  // Until the ring was overwritten many times and enough entries survived to be checked.
  while (last < 200 * RecentRequests::kCapacity || seen < 10 * RecentRequests::kCapacity) {
    got.clear();
    recent.AppendTo(&got);
    for (size_t i = 0; i < got.size(); ++i) {
      const uint64_t number = got[i].start_nanoseconds;
      const RecentRequest expected = Numbered(number);
      ASSERT_EQ(got[i].ino, expected.ino);
      ASSERT_EQ(got[i].uid, expected.uid);
      ASSERT_EQ(got[i].pid, expected.pid);
      ASSERT_EQ(got[i].opcode, expected.opcode);
      ASSERT_EQ(got[i].error, expected.error);
      ASSERT_EQ(got[i].latency_nanoseconds, expected.latency_nanoseconds);
      if (i > 0) {
        ASSERT_EQ(number, got[i - 1].start_nanoseconds + 1);
      }
    }
    if (!got.empty()) last = got.back().start_nanoseconds;
    seen += got.size();
  }
  stop = true;
  writer.join();
}

TEST(RequestStatisticsTest, AReaderFindsNoOutcomeWithoutItsRequest) {
  const auto statistics = std::make_unique<RequestStatistics>();
  constexpr uint64_t kRequests = 200'000;
  std::thread writer([&] {
    for (uint64_t i = 0; i < kRequests; ++i) {
      statistics->Begin(FUSE_WRITE);
      statistics->End(Served(FUSE_WRITE, i % 2 == 0 ? ENOSPC : 0, 5), 1);
    }
  });
  uint64_t requests = 0;
  while (requests < kRequests) {
    const OperationStatistics write = Read(*statistics)[FUSE_WRITE];
    ASSERT_GE(write.requests, requests);
    requests = write.requests;
    ASSERT_LE(write.latency.total(), requests);
    ASSERT_LE(write.errors, write.latency.total());
    ASSERT_LE(write.error_numbers.size(), 1u);
  }
  writer.join();
  EXPECT_EQ(Read(*statistics)[FUSE_WRITE].errors, kRequests / 2);
  EXPECT_EQ(Read(*statistics)[FUSE_WRITE].bytes, kRequests);
}

}  // namespace
}  // namespace memfuse::transport
