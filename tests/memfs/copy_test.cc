// COPY_FILE_RANGE.

#include <string>

#include "tests/memfs/memfs_test_base.h"

namespace memfuse::memfs {
namespace {

constexpr uint64_t kTooFar = uint64_t{1} << 63;

std::string Pattern(size_t size) {
  std::string data(size, '\0');
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>('a' + i * 7 % 26);
  return data;
}

class CopyTest : public MemFsTest {
 protected:
  const InodeNumber in_ = Ino(me_.Mknod(kRootInode, "in"));
  const InodeNumber out_ = Ino(me_.Mknod(kRootInode, "out"));
};

TEST_F(CopyTest, Errors) {
  const InodeNumber link = Ino(me_.Symlink(kRootInode, "link", "to"));
  ASSERT_THAT(me_.Write(in_, 0, Pattern(1000)), Succeeds());
  const InodeNumber gone = GoneInode();
  EXPECT_THAT(me_.Copy(gone, 0, out_, 0, 1, /*flags=*/1), Fails(ESTALE));
  EXPECT_THAT(me_.Copy(in_, 0, gone, 0, 1, /*flags=*/1), Fails(ESTALE));
  EXPECT_THAT(me_.Copy(kRootInode, 0, out_, 0, 1, /*flags=*/1), Fails(EINVAL));
  EXPECT_THAT(me_.Copy(in_, 0, out_, 0, 1, /*flags=*/1), Fails(EINVAL));
  EXPECT_THAT(me_.Copy(kRootInode, 0, out_, kTooFar, 1), Fails(EISDIR));
  EXPECT_THAT(me_.Copy(in_, 0, kRootInode, kTooFar, 1), Fails(EISDIR));
  EXPECT_THAT(me_.Copy(link, 0, out_, kTooFar, 1), Fails(EINVAL));
  EXPECT_THAT(me_.Copy(in_, 0, link, kTooFar, 1), Fails(EINVAL));
  EXPECT_THAT(me_.Copy(in_, 0, out_, kTooFar, 1), Fails(EFBIG));
  EXPECT_THAT(me_.Copy(in_, 0, in_, 999, 1000), Fails(EINVAL));
  EXPECT_THAT(me_.Copy(in_, 500, in_, 1, 500), Fails(EINVAL));
  EXPECT_EQ(Stat(out_).size, 0u);
}

TEST_F(CopyTest, CopiesUpToTheEndOfTheSource) {
  const std::string data = Pattern(1000000);
  ASSERT_THAT(me_.Write(in_, 0, data), Succeeds());
  AgeTimes(in_);
  AgeTimes(out_);
  EXPECT_EQ(Must(me_.Copy(in_, 10, out_, 5000, 2000000)), 999990u);
  EXPECT_EQ(MovedTimes(in_), "");
  EXPECT_EQ(MovedTimes(out_), "mc");
  EXPECT_EQ(Stat(out_).size, 1004990u);
  EXPECT_TRUE(Must(me_.Read(out_, 5000, 1000000)) == data.substr(10));
  EXPECT_EQ(Must(me_.Read(out_, 4990, 10)), std::string(10, '\0'));
}

TEST_F(CopyTest, CopiesNothingAtOrBehindTheEnd) {
  ASSERT_THAT(me_.Write(in_, 0, "data"), Succeeds());
  AgeTimes(out_);
  EXPECT_EQ(Must(me_.Copy(in_, 4, out_, 0, 10)), 0u);
  EXPECT_EQ(Must(me_.Copy(in_, ~uint64_t{0}, out_, 0, 10)), 0u);
  EXPECT_EQ(Must(me_.Copy(in_, 0, out_, 0, 0)), 0u);
  EXPECT_EQ(MovedTimes(out_), "");
}

TEST_F(CopyTest, CopiesBetweenDisjointRangesOfAFile) {
  ASSERT_THAT(me_.Write(in_, 0, Pattern(1000)), Succeeds());
  EXPECT_EQ(Must(me_.Copy(in_, 0, in_, 500, 500)), 500u);
  EXPECT_EQ(Must(me_.Read(in_, 500, 999)), Pattern(500));
  // The range that reaches beyond the end is cut first.
  EXPECT_EQ(Must(me_.Copy(in_, 900, in_, 1000, 1000)), 100u);
}

TEST_F(CopyTest, EndsAtTheLargestOffset) {
  ASSERT_THAT(me_.Write(in_, 0, "data"), Succeeds());
  EXPECT_EQ(Must(me_.Copy(in_, 0, out_, kTooFar - 3, 4)), 2u);
  EXPECT_EQ(Stat(out_).size, kTooFar - 1);
}

class FullCopyTest : public MemFsTest {
 protected:
  FullCopyTest() : MemFsTest(SmallOptions(100000)) {}
};

TEST_F(FullCopyTest, IsShortWhenSpaceRunsOut) {
  const InodeNumber in = Ino(me_.Mknod(kRootInode, "in"));
  const InodeNumber out = Ino(me_.Mknod(kRootInode, "out"));
  ASSERT_THAT(me_.Write(in, 0, Pattern(60000)), Succeeds());
  const uint64_t copied = Must(me_.Copy(in, 0, out, 0, 60000));
  EXPECT_GT(copied, 20000u);
  EXPECT_LT(copied, 40000u);
  EXPECT_EQ(Stat(out).size, copied);
  EXPECT_TRUE(Must(me_.Read(out, 0, 60000)) == Pattern(60000).substr(0, copied));
  EXPECT_THAT(me_.Copy(in, 0, out, copied, 60000 - copied), Fails(ENOSPC));
}

}  // namespace
}  // namespace memfuse::memfs
