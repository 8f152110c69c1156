#include "memfuse/payload.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <string>

#include "src/base/unique_fd.h"

namespace memfuse {
namespace {

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// The same bytes in memory, and in a pipe after bytes of another payload.
class PayloadTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    file_.reset(memfd_create("payload-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_TRUE(file_.valid());
    if (!GetParam()) {
      payload_ = Payload(data_);
      return;
    }
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    out_.reset(ends[0]);
    in_.reset(ends[1]);
    ASSERT_GT(fcntl(in_.get(), F_SETPIPE_SZ, 1 << 18), 0);
    ASSERT_EQ(write(in_.get(), data_.data(), data_.size()), static_cast<ssize_t>(data_.size()));
    pipe_ = {out_.get(), data_.size()};
    payload_ = Payload(&pipe_);
  }

  std::string Copied(size_t size) {
    std::string out(size, '#');
    EXPECT_TRUE(payload_.CopyTo(absl::MakeSpan(out.data(), out.size())).ok());
    return out;
  }
  std::string InFile(uint64_t offset, size_t size) const {
    std::string out(size, '#');
    const ssize_t n = pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    out.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return out;
  }

  const std::string data_ = RandomBytes(100'000);
  base::UniqueFd file_;
  base::UniqueFd out_, in_;
  Payload::Pipe pipe_;
  Payload payload_;
};

INSTANTIATE_TEST_SUITE_P(Places, PayloadTest, testing::Bool(),
                         [](const auto& where) { return where.param ? "Pipe" : "Memory"; });

TEST_P(PayloadTest, IsConsumedFromItsBeginning) {
  EXPECT_EQ(payload_.in_memory(), !GetParam());
  EXPECT_EQ(payload_.size(), data_.size());
  EXPECT_EQ(Copied(1), data_.substr(0, 1));
  EXPECT_EQ(Copied(0), "");
  ASSERT_TRUE(payload_.MoveTo(file_.get(), 77, 9'999).ok());
  EXPECT_EQ(InFile(77, 9'999), data_.substr(1, 9'999));
  EXPECT_EQ(InFile(0, 77), std::string(77, '\0'));
  EXPECT_EQ(payload_.size(), data_.size() - 10'000);
  EXPECT_EQ(Copied(20'000), data_.substr(10'000, 20'000));
  ASSERT_TRUE(payload_.MoveTo(file_.get(), 0, 70'000).ok());
  EXPECT_EQ(InFile(0, 70'000), data_.substr(30'000));
  EXPECT_TRUE(payload_.empty());
}

TEST_P(PayloadTest, YieldsNoMoreThanItsSize) {
  (void)Copied(99'990);
  std::string out(11, '#');
  EXPECT_EQ(payload_.CopyTo(absl::MakeSpan(out.data(), out.size())).error_or_zero(), EIO);
  EXPECT_EQ(payload_.MoveTo(file_.get(), 0, 11).error_or_zero(), EIO);
  EXPECT_EQ(out, "###########");
  EXPECT_EQ(InFile(0, 1), "");
  EXPECT_EQ(Copied(10), data_.substr(99'990));
}

TEST_P(PayloadTest, AFileThatAcceptsNothingLeavesItComplete) {
  ASSERT_EQ(fcntl(file_.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(payload_.MoveTo(file_.get(), 0, 5'000).error_or_zero(), EPERM);
  EXPECT_EQ(payload_.size(), data_.size());
  EXPECT_EQ(Copied(data_.size()), data_);
}

TEST_P(PayloadTest, TheCountBeforeAnErrorIsWritten) {
  ASSERT_EQ(ftruncate(file_.get(), 8'192), 0);
  ASSERT_EQ(fcntl(file_.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  EXPECT_FALSE(payload_.MoveTo(file_.get(), 4'000, 50'000).ok());
  const size_t taken = data_.size() - payload_.size();
  ASSERT_LE(taken, 4'192u);
  EXPECT_EQ(InFile(4'000, taken), data_.substr(0, taken));
  EXPECT_EQ(InFile(4'000 + taken, 8'192), std::string(4'192 - taken, '\0'));
  EXPECT_EQ(Copied(100), data_.substr(taken, 100));
}

TEST(Payload, IsEmptyByDefault) {
  Payload payload;
  EXPECT_TRUE(payload.in_memory());
  EXPECT_TRUE(payload.empty());
  EXPECT_TRUE(payload.CopyTo({}).ok());
  EXPECT_TRUE(payload.MoveTo(-1, 0, 0).ok());
}

TEST(Payload, APipeWithTooLittleDataIsAnErrorAndDoesNotBlock) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const base::UniqueFd out(ends[0]);
  const base::UniqueFd in(ends[1]);
  const base::UniqueFd file(memfd_create("payload-test", MFD_CLOEXEC));
  ASSERT_EQ(write(in.get(), "abcd", 4), 4);
  Payload::Pipe pipe = {out.get(), 10};
  char bytes[6];
  EXPECT_EQ(Payload(&pipe).CopyTo(bytes).error_or_zero(), EIO);
  EXPECT_EQ(pipe.size, 6u);
  EXPECT_EQ(Payload(&pipe).MoveTo(file.get(), 0, 6).error_or_zero(), EIO);
}

}  // namespace
}  // namespace memfuse
